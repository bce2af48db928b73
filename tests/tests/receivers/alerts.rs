//! The alerting rules of `dashboards/alerts.yml`.

use std::process::Command;

use crate::database::{Database, installed};
use crate::runs::Run;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/alerts.yml");

#[tokio::test]
async fn alert_fires_during_a_run_whose_requests_fail() {
    let Some(promtool) = installed("promtool") else { return };
    let checked = Command::new(promtool).args(["check", "rules", RULES]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let Some(prometheus) = Database::with_rules(RULES).await else { return };
    let run = Run::start(&format!("-u 2 -d 40 -o prometheus-rw={}", prometheus.url("/api/v1/write")), &[]);
    let run = run.begins().await;
    golo_tests::within("the alert", async {
        let firing = "ALERTS{alertname=\"GoloRequestsFail\", alertstate=\"firing\", job=\"routes\"}";
        while prometheus.query(firing).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
    // A tenth of the requests fails, and none is slow.
    assert_eq!(prometheus.query("ALERTS{alertname=\"GoloRequestsSlow\"}").await, []);
    drop(run);
}
