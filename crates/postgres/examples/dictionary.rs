//! Trains a dictionary for stored journal rows: `DATABASE_URL=... cargo run -p tenantry-postgres --example dictionary FILE`.
//!
//! The store should hold some thousand tenants of the product's own plans, with everything that happens to tenants. A
//! dictionary that was once used is never replaced: a better one becomes another format of `pack`.

use tenantry_postgres::Queries;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PAGE: u16 = 1000;
    const LARGEST: usize = 16 << 10;
    let file = std::env::args().nth(1).ok_or("a file to write to")?;
    let queries = Queries::connect(&std::env::var("DATABASE_URL")?).await?;
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for lane in queries.lanes().await? {
        let mut from = 0;
        loop {
            let rows = queries.journal_scan(lane.lane, from, PAGE).await?;
            let Some(last) = rows.last() else { break };
            from = last.n + 1;
            samples.extend(rows.iter().map(|row| [&row.entry[..], &row.facts].concat()));
        }
    }
    std::fs::write(file, zstd::dict::from_samples(&samples, LARGEST)?)?;
    Ok(())
}
