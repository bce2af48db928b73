//! Proves that the checked-in generated files are what `golo.proto` gives, and
//! writes them anew when asked to.

// Clippy's leave for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use protox::prost::Message;

const REGENERATE: &str = "GOLO_REGENERATE=1 cargo test -p golo-proto --test generated";

#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, descriptors) = generate(root);

    let code_path = root.join("src/generated/golo.rs");
    let descriptors_path = root.join("src/generated/golo.bin");
    if std::env::var_os("GOLO_REGENERATE").is_some() {
        fs::write(&code_path, &code).unwrap();
        fs::write(&descriptors_path, &descriptors).unwrap();
        return;
    }

    // No `assert_eq!`: it would print both files whole.
    assert!(fs::read(&code_path).ok() == Some(code), "src/generated/golo.rs is stale, run `{REGENERATE}`");
    assert!(
        fs::read(&descriptors_path).ok() == Some(descriptors),
        "src/generated/golo.bin is stale, run `{REGENERATE}`"
    );
}

/// The Rust code and the encoded descriptors of `golo.proto`.
fn generate(root: &Path) -> (Vec<u8>, Vec<u8>) {
    let descriptors = protox::compile(["golo.proto"], [root]).unwrap();
    let encoded_descriptors = descriptors.encode_to_vec();

    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(&directory).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::JobCodec")
        .type_attribute(".golo.Response", "#[derive(Eq, Hash)]")
        .emit_rerun_if_changed(false)
        .out_dir(&directory)
        .compile_fds(descriptors)
        .unwrap();
    let code = fs::read(directory.join("golo.rs")).unwrap();

    (code, encoded_descriptors)
}
