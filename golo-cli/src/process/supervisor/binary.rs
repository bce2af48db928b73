//! Checks before the start whether a file is a program for this machine, to give a helpful error.
//!
//! The check must come before the start: the C library's `execvp` runs files that the kernel does not know with
//! `/bin/sh`.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use object::elf::{
    EM_386, EM_AARCH64, EM_ARM, EM_BPF, EM_LOONGARCH, EM_MIPS, EM_PPC, EM_PPC64, EM_RISCV, EM_S390, EM_SPARCV9,
    EM_X86_64, Machine,
};

use super::{elf::Elf, start_error::StartError};

/// Machines of ELF, with the names that Rust uses.
const MACHINES: [(Machine, &str); 12] = [
    (EM_386, "x86"),
    (EM_MIPS, "mips"),
    (EM_PPC, "powerpc"),
    (EM_PPC64, "powerpc64"),
    (EM_S390, "s390x"),
    (EM_ARM, "arm"),
    (EM_SPARCV9, "sparc64"),
    (EM_X86_64, "x86_64"),
    (EM_AARCH64, "aarch64"),
    (EM_RISCV, "riscv64"),
    (EM_BPF, "bpf"),
    (EM_LOONGARCH, "loongarch64"),
];
/// Pairs of 64-bit and 32-bit architectures; a kernel may run programs of either.
const COUSINS: [(&str, &str); 3] = [("x86_64", "x86"), ("aarch64", "arm"), ("powerpc64", "powerpc")];
/// First bytes of macOS programs: thin ones of either byte order and width, and universal ones.
const MACH_O: [[u8; 4]; 5] = [
    [0xfe, 0xed, 0xfa, 0xce],
    [0xfe, 0xed, 0xfa, 0xcf],
    [0xce, 0xfa, 0xed, 0xfe],
    [0xcf, 0xfa, 0xed, 0xfe],
    [0xca, 0xfe, 0xba, 0xbe],
];
/// Length of a script's first line that the kernel reads, in bytes.
const FIRST_LINE: u64 = 256;

/// Checks whether the file at `path` can run here, as far as the file shows that. `name` stands for it in messages.
///
/// # Errors
///
/// Returns an error if the file does not exist, is not executable, is for another machine, is truncated, or is not a
/// program.
pub fn check(path: &Path, name: impl fmt::Display) -> Result<(), StartError> {
    let right = "a load test is an executable file, such as `target/release/NAME`";
    let about = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if about.is_dir() {
        return Err(StartError::program(format_args!("`{name}` is a directory"), right));
    }
    if !about.is_file() {
        return Err(StartError::program(format_args!("`{name}` is not a regular file"), right));
    }
    if about.permissions().mode() & 0o111 == 0 {
        let right = format_args!("run `chmod +x {name}`");
        return Err(StartError::program(format_args!("`{name}` is not executable"), right));
    }
    match File::open(path) {
        Ok(mut file) => content(&name, &mut file, about.len()),
        // A program without read permission can still be run.
        Err(_) => Ok(()),
    }
}

/// Returns the interpreter of a script or the loader of a program.
pub(super) fn loader(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut start = Vec::new();
    (&mut file).take(FIRST_LINE).read_to_end(&mut start).ok()?;
    match start.strip_prefix(b"#!") {
        Some(line) => {
            let line = line.split(|&byte| byte == b'\n').next()?;
            // Split as the kernel does: a first line that ends in `\r\n` names an interpreter that ends in `\r`, and
            // the message should show it.
            let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
            words.next().map(|word| word.escape_ascii().to_string())
        }
        None => Elf::read(file)?.loader,
    }
}

fn unreadable(path: &Path, error: io::Error) -> StartError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StartError::no_file(path),
        _ => StartError::circumstances(format!("`{}` cannot be inspected", path.display()), error),
    }
}

fn content(name: &impl fmt::Display, file: &mut File, length: u64) -> Result<(), StartError> {
    let mut start = Vec::new();
    if (&mut *file).take(4).read_to_end(&mut start).is_err() {
        return Ok(());
    }
    match start.as_slice() {
        [b'#', b'!', ..] => Ok(()),
        b"\x7fELF" if cfg!(target_os = "macos") => Err(elsewhere(name, "Linux")),
        b"\x7fELF" => fits(name, Elf::read(file), length),
        [b'M', b'Z', ..] => Err(elsewhere(name, "Windows")),
        start if MACH_O.iter().any(|magic| magic == start) => {
            if cfg!(target_os = "macos") {
                Ok(())
            } else {
                Err(elsewhere(name, "macOS"))
            }
        }
        [] => Err(StartError::program(format_args!("`{name}` is empty"), "copy or upload it again")),
        _ => Err(StartError::program(
            format_args!("`{name}` is not a program"),
            "build it for this machine, or name a script's interpreter in its first line, as in `#!/bin/sh`",
        )),
    }
}

fn elsewhere(name: &impl fmt::Display, system: &str) -> StartError {
    StartError::program(
        format_args!("`{name}` is a program for {system}"),
        format_args!("build it for this machine, which is {ARCH} with {OS}"),
    )
}

fn fits(name: &impl fmt::Display, elf: Option<Elf>, length: u64) -> Result<(), StartError> {
    let damaged = || {
        let wrong = format_args!("`{name}` is damaged, or cut short after {length} bytes");
        StartError::program(wrong, "copy or upload it again")
    };
    let elf = elf.ok_or_else(damaged)?;
    if !elf.is_program {
        return Err(StartError::program(
            format_args!("`{name}` is only a part of a program"),
            "a load test is an executable file, such as `target/release/NAME`",
        ));
    }
    if !runs(elf.machine) {
        let machine = MACHINES.iter().find(|(number, _)| *number == elf.machine);
        let machine =
            machine.map_or_else(|| format!("machine {}", elf.machine.0), |(_, machine)| (*machine).to_owned());
        return Err(StartError::program(
            format_args!("`{name}` is built for {machine}"),
            format_args!("build it for this machine, which is {ARCH}"),
        ));
    }
    if elf.length.is_none_or(|least| length < least) {
        return Err(damaged());
    }
    Ok(())
}

/// Whether this machine runs programs for `machine`, by itself or by an emulator that the kernel knows. Where that is not
/// certain it is left to the kernel.
fn runs(machine: Machine) -> bool {
    let Some((_, machine)) = MACHINES.iter().find(|(number, _)| *number == machine) else { return false };
    let known = MACHINES.iter().any(|(_, known)| *known == ARCH);
    let cousin = COUSINS.iter().any(|&pair| pair == (ARCH, *machine) || pair == (*machine, ARCH));
    let emulated = || Path::new("/proc/sys/fs/binfmt_misc").join(format!("qemu-{}", emulator(machine))).exists();
    *machine == ARCH || !known || cousin || emulated()
}

/// Returns QEMU's name of an architecture.
fn emulator(machine: &str) -> &str {
    match machine {
        "x86" => "i386",
        "powerpc" => "ppc",
        "powerpc64" => "ppc64le",
        machine => machine,
    }
}
