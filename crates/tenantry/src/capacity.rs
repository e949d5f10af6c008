//! `tenantry capacity`: how full the pools are, and whether their sums are right.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::json;
use tenantry_step::Trouble;
use tenantry_worker_capacity::{Usage, unbalanced, usage};

use crate::fleet;
use crate::out::{self, Refused, failed};
use crate::settings::{Find, Secret, Tenants};
use crate::show::Style;
use crate::show::table;

/// Show how full the pools of capacity are (exit 1 where the sums are not what was reserved)
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    tenants: Tenants,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// Runs the command.
///
/// # Errors
/// Where the tenants' database cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = match (args.tenants.url()?, args.find.running()?) {
        (Some(url), _) => url,
        (None, Some(up)) => Secret::new(up.tenants_url),
        (None, None) => args.tenants.required()?,
    };
    let pool = fleet::tenants_pool(&url)?;
    let broken = |trouble: Trouble| -> Refused {
        failed(
            "tenants_database",
            format!("the pools cannot be read: {trouble}; see that the worker capacity ran on it"),
        )
    };
    let pools = usage(&pool).await.map_err(broken)?;
    let wrong = unbalanced(&pool).await.map_err(broken)?;
    if args.json {
        let pools: Vec<_> = pools.iter().map(shown).collect();
        out::json(&json!({ "pools": pools, "unbalanced": wrong }))?;
    } else {
        for line in lines(&pools, Style::detect()) {
            out::line(line);
        }
        for pool in &wrong {
            out::line(format_args!("the sum is wrong: {pool}"));
        }
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(pool: &Usage) -> serde_json::Value {
    json!({
        "region": pool.region, "pool": pool.pool, "total": pool.total, "reserved": pool.reserved,
        "committed": pool.committed, "threshold_percent": pool.threshold_percent,
    })
}

fn lines(pools: &[Usage], style: Style) -> Vec<String> {
    if pools.is_empty() {
        return vec!["No region was asked for yet.".to_owned()];
    }
    let mut rows = table::new(style, &["REGION", "POOL", "USED", "", "TOTAL", "BEING MADE", "TENANTS"]);
    for pool in pools {
        let used = u128::from(pool.reserved) + u128::from(pool.committed);
        let percent = (used * 100).checked_div(u128::from(pool.total)).unwrap_or(100);
        let near = percent >= u128::from(pool.threshold_percent);
        rows.add_row([
            pool.region.clone(),
            pool.pool.clone(),
            format!("{percent}%"),
            if near { "nearly used up".to_owned() } else { String::new() },
            pool.total.to_string(),
            pool.reserved.to_string(),
            pool.committed.to_string(),
        ]);
    }
    table::lines(&mut rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_over_its_threshold_is_marked() {
        let pool = |reserved, committed| Usage {
            region: "eu-west-1".into(),
            pool: "compute".into(),
            total: 100,
            reserved,
            committed,
            threshold_percent: 80,
        };
        let page = lines(&[pool(1, 2), pool(40, 45)], Style::PLAIN).join("\n");
        assert_eq!(
            page,
            "REGION     POOL     USED                  TOTAL  BEING MADE  TENANTS\n\
             eu-west-1  compute  3%                    100    1           2\n\
             eu-west-1  compute  85%   nearly used up  100    40          45"
        );
    }
}
