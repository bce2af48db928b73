//! Tests of job files.

use golo_tests::Finished;
use sample_service::SampleService;

use crate::call::{Call, Ran, sample};

/// Runs `job.toml` with these flags and variables. Only the file contains the job name and the target.
async fn run(target: &SampleService, file: &str, flags: &str, variables: &[(&str, &str)]) -> Ran {
    let mut call = Call::new(target, "", "");
    let path = call.path("job.toml");
    std::fs::write(&path, file.replace("<target>", target.url())).unwrap();
    let reports: Vec<_> = call.command.as_std().get_args().skip(3).map(ToOwned::to_owned).collect();
    call.command = golo_tests::command(crate::call::PROGRAM);
    call.command.env_remove("TARGET_URL").envs(variables.iter().copied()).arg("run").args(reports);
    call.command.arg("-f").arg(path).args(flags.split_whitespace());
    call.finish().await
}

fn plan(ran: &Ran) -> String {
    ran.summary()["run"]["plan"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let target = sample();
    let file = "name = 'get'\nusers = 2\niterations = 20\nseed = 1\n[env]\nTARGET_URL = '<target>'\n";
    for (flags, variables, expected) in [
        ("", &[][..], "20 iterations by 2 users"),
        ("", &[("GOLO_USERS", "3")], "20 iterations by 3 users"),
        ("-u 4", &[("GOLO_USERS", "3")], "20 iterations by 4 users"),
        ("-u 4", &[("GOLO_USERS", "3"), ("GOLO_ITERATIONS", "30")], "30 iterations by 4 users"),
    ] {
        let ran = run(&target, file, flags, variables).await;
        ran.assert_reported(0, "PASSED");
        assert_eq!(plan(&ran), expected);
    }
    let ran = run(&target, file, "-r 200/s", &[]).await;
    assert!(plan(&ran).starts_with("20 iterations at 200/s"), "its users are another model's: {}", plan(&ran));
    assert_eq!(target.counter().seen, 20 + 20 + 20 + 30 + 20);
}

#[tokio::test]
async fn variable_can_turn_off_a_flag_of_the_file() {
    let target = sample();
    let file = "name = 'get'\nusers = 2\niterations = 20\nquiet = true\n[env]\nTARGET_URL = '<target>'\n";
    let quiet = run(&target, file, "", &[]).await;
    let told = run(&target, file, "", &[("GOLO_QUIET", "0")]).await;
    // A build without optimisations prints a warning about that.
    let told_lines = if cfg!(debug_assertions) { 2 } else { 1 };
    let lines = (quiet.finished.stderr.len(), told.finished.stderr.len());
    assert_eq!(lines, (0, told_lines), "{:#?}", told.finished.stderr);
}

#[tokio::test]
async fn job_file_may_contain_thresholds() {
    let target = sample();
    let file = "name = 'fail'\nusers = 2\niterations = 20\n\
                threshold = ['http_req_failed rate<1%', 'http_reqs count==20']\n[env]\nTARGET_URL = '<target>'\n";
    let ran = run(&target, file, "", &[]).await;
    ran.assert_reported(99, "FAILED");
    let thresholds = ran.summary()["thresholds"].clone();
    assert_eq!([&thresholds[0]["passed"], &thresholds[1]["passed"]], [false, true]);
    // Thresholds on the command line replace those of the file.
    let ran = run(&target, file, "-t http_reqs{outcome:failed}count==20", &[]).await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(ran.summary()["thresholds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn job_file_of_go_lo_runs_unchanged() {
    let target = sample();
    let file = "type = \"job\"\n[schema]\nname = \"get\"\nusers = 3\nduration = 1\n";
    let ran = run(&target, file, "", &[("TARGET_URL", target.url())]).await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(plan(&ran), "3 users for 1s");
}

#[tokio::test]
async fn flags_override_environment_parameters_and_these_the_files() {
    let target = sample();
    let file = "name = 'tell the parameters'\niterations = 1\nusers = 1\n[env]\nFRUIT = 'apple'\nITEMS = 7\n";
    for (flags, variables, said) in [
        ("", &[][..], "apple 7"),
        ("", &[("FRUIT", "pear")], "pear 7"),
        ("-e FRUIT=plum", &[("FRUIT", "pear")], "plum 7"),
        ("-e FRUIT=plum -e ITEMS=", &[], "plum "),
    ] {
        let ran = run(&target, file, flags, variables).await;
        assert!(ran.finished.stderr.contains(&format!("parameters: {said}")), "{:#?}", ran.finished.stderr);
    }
}

#[tokio::test]
async fn error_in_a_job_file_shows_its_line() {
    let target = sample();
    for (file, shown) in [
        (
            "users = 5\nduratoin = '30s'\n",
            &[
                "job.toml`, line 2: `duratoin` is not the name of a flag of `run`",
                "did you mean `duration`?",
                "  2 | duratoin = '30s'",
                "    | ^^^^^^^^",
            ][..],
        ),
        ("users = 'many'\n", &["job.toml`, line 1: `users`: ", "  1 | users = 'many'", "    |         ^^^^^^"]),
        (
            "\n\nthreshold = ['http_reqs count<1', 'http_req rate<1']\n",
            &["line 3: `threshold`: ", "unknown metric `http_req`"],
        ),
        ("[schema]\nuser = 1\n", &["line 2: `user` is not a key of a go-lo job"]),
        ("users = \n", &["job.toml`, line 1: "]),
        ("[env]\nA = [1]\n", &["line 2: `A`: expected a string, a number, true or false"]),
        ("file = 'other.toml'\n", &["line 1: `file` is not the name of a flag of `run`"]),
        ("out = 'xml=a'\n", &["line 1: `out`: expected summary=FILE"]),
        ("users = 5\nrate = '5/s'\n", &["job.toml`: `--users` and `--rate` are two kinds of plan"]),
    ] {
        let ran = run(&target, file, "", &[]).await;
        let Finished { code, stdout, stderr } = &ran.finished;
        assert_eq!((*code, stdout.len()), (Some(104), 0), "{file}: {stderr:#?}");
        let stderr = stderr.join("\n");
        assert!(shown.iter().all(|part| stderr.contains(part)), "{file}: {stderr}");
    }
    assert_eq!(target.counter().seen, 0);
}
