//! Proves that the checked-in generated files are what the `.proto` files
//! give, and writes them anew when asked to.

// Clippy's leave for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use protox::prost::Message;
use tonic_prost_build::Builder;

const REGENERATE: &str = "GOLO_REGENERATE=1 cargo test -p golo-proto --test generated";

#[test]
fn the_job_is_current() {
    let configure = |builder: Builder| {
        builder.codec_path("crate::codec::JobCodec").type_attribute(".golo.Response", "#[derive(Eq, Hash)]")
    };
    is_current("golo.proto", "golo", configure);
}

#[test]
fn the_engine_is_current() {
    is_current("engine.proto", "golo.engine.v1", |builder| builder);
}

#[test]
fn the_results_are_current() {
    is_current("results.proto", "golo.results.v1", |builder| {
        builder.extern_path(".golo.engine.v1", "crate::engine").build_server(false).build_client(false)
    });
}

#[test]
fn the_descriptors_of_the_later_layout_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["golo-later.proto"], [root]).unwrap();
    are_current("golo-later", &[("bin", descriptors.encode_to_vec())]);
}

/// Whether the Rust code and the encoded descriptors of `source`, whose package is `package`, are those that are checked in.
fn is_current(source: &str, package: &str, configure: impl FnOnce(Builder) -> Builder) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([source], [root]).unwrap();
    let encoded_descriptors = descriptors.encode_to_vec();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("generated-{package}"));
    fs::create_dir_all(&directory).unwrap();
    let builder = tonic_prost_build::configure().build_transport(false).emit_rerun_if_changed(false);
    configure(builder).out_dir(&directory).compile_fds(descriptors).unwrap();
    let code = fs::read(directory.join(format!("{package}.rs"))).unwrap();

    let name = source.trim_end_matches(".proto");
    are_current(name, &[("rs", code), ("bin", encoded_descriptors)]);
}

/// Whether the files of this name are those that are checked in.
fn are_current(name: &str, files: &[(&str, Vec<u8>)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (extension, content) in files {
        let path = root.join(format!("src/generated/{name}.{extension}"));
        if std::env::var_os("GOLO_REGENERATE").is_some() {
            fs::write(&path, content).unwrap();
            continue;
        }
        // No `assert_eq!`: it would print both files whole.
        let is_current = fs::read(&path).ok().as_ref() == Some(content);
        assert!(is_current, "src/generated/{name}.{extension} is stale, run `{REGENERATE}`");
    }
}
