//! Programs that must not compile do not, and the compiler says what is wrong: `refused/*.rs`, each with what is said.
//!
//! `RINGRAIL_BLESS=1 cargo test -p ringrail-macros --test refused` writes what is said now. The texts are those of the
//! workspace's oldest compiler; with another one, only our own part of them is compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler whose texts are stored: `rust-version` of the workspace.
const COMPILER: &str = concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), ".");

/// The folder of the built library and its dependencies: this test's own.
fn built() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.parent().unwrap().to_path_buf()
}

/// The library as it was built last.
fn library(built: &Path) -> PathBuf {
    let files = fs::read_dir(built)
        .unwrap()
        .map(|file| file.unwrap().path());
    let libraries = files.filter(|file| {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.starts_with("libringrail-") && name.ends_with(".rlib")
    });
    let built_at = |file: &PathBuf| fs::metadata(file).and_then(|file| file.modified()).ok();
    libraries
        .max_by_key(built_at)
        .expect("the library is built")
}

fn rustc() -> Command {
    Command::new(option_env!("RUSTC").unwrap_or("rustc"))
}

/// The compiler's messages about a program; `None` if it compiles.
fn said(program: &Path, library: &Path, built: &Path, out: &Path) -> Option<String> {
    let output = rustc()
        .arg(program)
        .args([
            "--edition=2024",
            "--crate-type=bin",
            "--crate-name=program",
            "--emit=obj",
        ])
        .args(["--color=never", "--diagnostic-width=120", "-Adead_code"])
        .arg(format!("--extern=ringrail={}", library.display()))
        .arg(format!("-Ldependency={}", built.display()))
        .arg("--out-dir")
        .arg(out)
        .output()
        .expect("the compiler runs");
    let said = String::from_utf8(output.stderr).unwrap();
    (!output.status.success()).then(|| normalised(&said))
}

/// How lines begin that are no part of a list of types.
const LIST_ENDS: [&str; 5] = [
    "error",
    "note:",
    "= help:",
    "= note: required",
    "= note: consider",
];

/// Without paths, and without what depends on the machine.
fn normalised(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let (mut in_library, mut in_list) = (false, false);
    for line in said.lines() {
        let text = line.trim_start();
        // Lists of other implementors change with every release.
        in_list = match in_list {
            true => !LIST_ENDS.iter().any(|end| text.starts_with(end)),
            false => text.contains("the following other types implement trait"),
        };
        if in_list {
            continue;
        }
        if let Some(place) = text
            .strip_prefix("--> ")
            .or_else(|| text.strip_prefix("::: "))
        {
            // Pieces of the library's or a dependency's source change: their file alone is kept.
            in_library = !place.contains("tests/refused/");
            let file = place.split(':').next().unwrap_or_default();
            let name = Path::new(file)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            let at = place.strip_prefix(file).unwrap_or_default();
            lines.push(format!("  in {name}{}", if in_library { "" } else { at }));
            continue;
        }
        let is_source = text.starts_with('|') || text.starts_with(|c: char| c.is_ascii_digit());
        if is_source && in_library || text.starts_with("= note: the full") {
            continue;
        }
        in_library &= is_source || !text.starts_with("error") && !text.starts_with("note");
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

/// Our own part of what is said: the headlines that macros write.
fn own(said: &str) -> Vec<&str> {
    let lines = said.lines().map(str::trim_start);
    let headlines = lines.filter(|line| line.starts_with("error: "));
    headlines
        .filter(|line| !line.contains("aborting due to"))
        .collect()
}

#[test]
fn programs_that_must_not_compile_say_why() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused");
    let (built, out) = (
        built(),
        std::env::temp_dir().join(format!("refused-{}", std::process::id())),
    );
    let library = library(&built);
    fs::create_dir_all(&out).unwrap();
    let version = rustc().arg("--version").output().unwrap().stdout;
    let same_compiler = String::from_utf8_lossy(&version).starts_with(COMPILER);
    let mut programs: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    programs.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    programs.sort();
    assert!(programs.len() >= 8, "{programs:?}");
    let mut wrong = Vec::new();
    for program in &programs {
        let name = program.file_name().unwrap().to_string_lossy();
        let stored = program.with_extension("stderr");
        let Some(said) = said(program, &library, &built, &out) else {
            wrong.push(format!("{name} compiles"));
            continue;
        };
        if std::env::var_os("RINGRAIL_BLESS").is_some() {
            fs::write(&stored, &said).unwrap();
        }
        let wanted = fs::read_to_string(&stored).unwrap_or_default();
        let same = match same_compiler {
            true => said == wanted,
            false => own(&said) == own(&wanted),
        };
        if !same {
            wrong.push(format!("{name} says\n{said}\nand should say\n{wanted}"));
        }
    }
    fs::remove_dir_all(&out).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
