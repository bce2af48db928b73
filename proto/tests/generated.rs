//! Checks that the generated files in the repository match the `.proto` files. Regenerates them on request.

// Clippy's exception for tests does not cover their helpers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use protox::prost::Message;
use tonic_prost_build::Builder;

const REGENERATE: &str = "GOLO_REGENERATE=1 cargo test -p golo-proto --test generated";

#[test]
fn job_code_is_current() {
    let configure = |builder: Builder| {
        builder.codec_path("crate::codec::JobCodec").type_attribute(".golo.Response", "#[derive(Eq, Hash)]")
    };
    is_current("golo.proto", "golo", configure);
}

#[test]
fn engine_code_is_current() {
    is_current("engine.proto", "golo.engine.v1", |builder| builder);
}

#[test]
fn results_code_is_current() {
    is_current("results.proto", "golo.results.v1", |builder| {
        builder.extern_path(".golo.engine.v1", "crate::engine").build_server(false).build_client(false)
    });
}

#[test]
fn later_layout_descriptors_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["golo-later.proto"], [root]).unwrap();
    are_current("golo-later", &[("bin", descriptors.encode_to_vec())]);
}

/// Asserts that the Rust code and the descriptors generated from `source`, with this `package`, match the checked-in
/// files.
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

/// Asserts that the files with this name match the checked-in ones.
fn are_current(name: &str, files: &[(&str, Vec<u8>)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (extension, content) in files {
        let path = root.join(format!("src/generated/{name}.{extension}"));
        if std::env::var_os("GOLO_REGENERATE").is_some() {
            fs::write(&path, content).unwrap();
            continue;
        }
        // `assert_eq!` would print both files in full.
        let is_current = fs::read(&path).ok().as_ref() == Some(content);
        assert!(is_current, "src/generated/{name}.{extension} is stale, run `{REGENERATE}`");
    }
}
