//! What the workers of `provision` answer when all is well.

use tenantry_contracts::Json;

/// The output of a row.
pub(crate) fn output(row: &str) -> Json {
    let digest = "00".repeat(32);
    let text = match row {
        "policy" => format!(r#"{{"decision":"dec_1","allow":true,"bundle":"{digest}","input":"{digest}","engine":"embedded"}}"#),
        "validate" => format!(
            r#"{{"template":{{"name":"basic","version":"1.0.0","digest":"{digest}","tier":"BASIC","isolation":"schema"}},"region":"eu-1","residency":"EU","modules":["identity"],"encryption":"standard","requirements":{{"seats":5,"storage_bytes":1073741824,"database_connections":10,"compute_millis":500,"network_segments":1}},"claims":[]}}"#
        ),
        "capacity" | "capacity.commit" => r#"{"parts":[]}"#.to_owned(),
        "identity" => r#"{"display":"TEN-001","namespace":{"id":"ns_1","slug":"acme-prod","environment":"prod"},"partitions":[]}"#.to_owned(),
        "database" => r#"{"database":"tenants","schema":"t_1","role":"r_1","modules":[],"admin_user":"admin-1","probes":[]}"#.to_owned(),
        "storage" => r#"{"bucket":"t-1","region":"eu-1","quota_bytes":1073741824}"#.to_owned(),
        "secrets" => r#"{"path":"1.keys","key":"k1","generation":1,"level":"standard"}"#.to_owned(),
        "quota" => r#"{"tier":"BASIC","requests_per_day":1000,"seats":5,"storage_bytes":1073741824}"#.to_owned(),
        "config" => format!(
            r#"{{"digest":"{digest}","flags":{{}},"integrations":[],"customised":[],"retention":{{"operational_days":30,"security_days":90,"audit_days":2557}},"encryption":"standard"}}"#
        ),
        "verify" => r#"{"status":"ready","checks":[],"probes":[]}"#.to_owned(),
        "credentials" => r#"{"message":"mail-1"}"#.to_owned(),
        "receipt" => r#"{"receipts":[],"key":"k1"}"#.to_owned(),
        "notify" => r#"{"messages":[]}"#.to_owned(),
        other => panic!("no worker answers for {other}"),
    };
    serde_json::from_str(&text).unwrap()
}
