//! How many instructions a lookup takes, held against a ceiling: times are noisy, counts are not.
//!
//! Callgrind runs this very binary with and without lookups, and the difference is theirs. It
//! knows no AVX-512; the paths of plain Rust and AVX2 are counted, each forced by the environment
//! variable that `simd` reads. Where valgrind is not installed, a line says so and nothing is
//! counted. The ceilings are those of the profile that tests are built with; they leave a tenth.

use std::process::Command;

const KEYS: u64 = 100_000;
const LOOKUPS: usize = 20_000;

/// Instructions that one lookup may take: (set of instructions, way of lookup, keys, ceiling).
const CEILINGS: [(&str, &str, &str, u64); 12] = [
    ("scalar", "single", "even", 176),
    ("scalar", "single", "random", 178),
    ("scalar", "single", "bent", 524),
    ("scalar", "batch", "even", 204),
    ("scalar", "batch", "random", 239),
    ("scalar", "batch", "bent", 596),
    ("avx2", "single", "even", 241),
    ("avx2", "single", "random", 243),
    ("avx2", "single", "bent", 547),
    ("avx2", "batch", "even", 237),
    ("avx2", "batch", "random", 276),
    ("avx2", "batch", "bent", 612),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, way, keys, lookups] = arguments.as_slice()
        && mark == "--look-up"
    {
        return look_up(way, keys, lookups.parse().unwrap_or(0));
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: instructions are not counted");
        return;
    }
    let mut exceeded = 0;
    for (isa, way, keys, ceiling) in CEILINGS {
        let base = instructions(isa, way, keys, 0);
        let count = instructions(isa, way, keys, LOOKUPS);
        let each = (count - base) / LOOKUPS as u64;
        println!("{isa} {way} {keys}: {each} instructions a lookup, at most {ceiling}");
        exceeded += usize::from(each > ceiling);
    }
    assert!(exceeded == 0, "{exceeded} ways of lookup take more instructions than they may");
}

/// What is counted: training, and so many lookups.
fn look_up(way: &str, keys: &str, lookups: usize) {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed ^ seed >> 29
    };
    let mut keys: Vec<u64> = match keys {
        "even" => (0..KEYS).map(|i| 10 * i).collect(),
        // Gaps of every magnitude: no line fits.
        "bent" => {
            let gaps = (0..KEYS).map(|_| random() >> 40 >> (random() % 24));
            gaps.scan(0, |key, gap| Some(std::mem::replace(key, *key + gap))).collect()
        }
        _ => (0..KEYS).map(|_| random()).collect(),
    };
    keys.sort_unstable();
    let Ok(index) = omen_index::Rmi::train(&keys) else { return };
    // The same number of probes is made in any case.
    let probes: Vec<u64> = (0..LOOKUPS).map(|_| keys[(random() % KEYS) as usize]).collect();
    let mut positions = vec![0; LOOKUPS];
    if way == "batch" {
        index.lower_bound_batch(&keys, &probes[..lookups], &mut positions[..lookups]);
    } else {
        for (probe, position) in probes[..lookups].iter().zip(&mut positions) {
            *position = index.lower_bound(&keys, *probe);
        }
    }
    std::hint::black_box(positions);
}

/// Instructions of this binary under Callgrind; without a count, the test fails.
fn instructions(isa: &str, way: &str, keys: &str, lookups: usize) -> u64 {
    let this = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(this);
    command.args(["--look-up", way, keys, &lookups.to_string()]).env("OMEN_INDEX_SIMD", isa);
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("valgrind does not run: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.unwrap_or_else(|| panic!("no count from Callgrind ({}): {text}", output.status))
}
