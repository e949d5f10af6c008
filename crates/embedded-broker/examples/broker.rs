//! A broker as a process of its own: `broker <data directory> [port]`. Prints its address when it is ready.
//! Tests kill it to see what survives.

use std::io::Write;

use tenantry_embedded_broker::{Broker, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut options = Options::new(args.next().ok_or("usage: broker <data directory> [port]")?);
    options.port = args.next().map_or(Ok(0), |port| port.parse())?;
    let broker = Broker::start(options).await?;
    writeln!(std::io::stdout(), "{}", broker.address())?;
    tokio::signal::ctrl_c().await?;
    broker.stop().await;
    Ok(())
}
