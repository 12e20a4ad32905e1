//! Judges many mutants in processes of their own, which may not take long for any of them, nor a
//! gigabyte of memory.
//!
//! A thousand in `cargo test`; `OMEN_MUTANTS=200000 cargo test -p omen-tests damage` judges so
//! many, from number `OMEN_MUTANTS_FROM` on if it is set, spread evenly over all kinds of damage to
//! all specimens.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::judge::{Verdict, judge};
use super::mutants::{Change, Mutants};
use super::specimen::Specimen;

/// What `cargo test` judges.
const MUTANTS: usize = 1_000;
/// As long as one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Address space of a process: what it needs itself, and less than a gigabyte for a mutant.
const KIBIBYTES_MAX: u64 = 2 << 20;
/// One for each core that tests may count on.
const PROCESSES: usize = 2;

fn number(variable: &str, default: usize) -> usize {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}

#[test]
fn no_damage_gives_a_wrong_answer() {
    let (from, count) = (number("OMEN_MUTANTS_FROM", 0), number("OMEN_MUTANTS", MUTANTS));
    let children: Vec<_> = (0..PROCESSES)
        .map(|place| {
            let test = std::env::current_exe().unwrap();
            let limited = format!("ulimit -v {KIBIBYTES_MAX}; exec \"$0\" \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &limited]).arg(test);
            command.args(["damage::worker::judge_a_share", "--exact", "--nocapture"]);
            command.env("OMEN_MUTANTS_FROM", (from + place).to_string());
            command.env("OMEN_MUTANTS", count.to_string());
            command.env("OMEN_MUTANTS_SHARE", place.to_string());
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let (mut judged, mut wrong, mut tally) = (0, Vec::new(), Tally::default());
    for mut child in children {
        let (mut at, mut panics) = (String::from("nothing"), Vec::new());
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.split_once(' ') {
                Some(("AT", mutant)) => at = mutant.to_string(),
                Some(("PANIC", story)) => panics.push(story.to_string()),
                Some(("WRONG", story)) => wrong.push(story.to_string()),
                Some(("JUDGED", share)) => judged += share.parse::<usize>().unwrap(),
                Some(("TALLY", line)) => tally.add(line),
                _ => {}
            }
        }
        let status = child.wait().unwrap();
        assert!(status.success(), "{status} soon after {at}: {panics:?}\n{}", wrong.join("\n"));
    }
    println!("{tally}");
    let some = &wrong[..wrong.len().min(8)];
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), some.join("\n"));
    assert!(judged >= count / 2, "only {judged} of {count} mutants change anything");
}

/// How many mutants came to what, by kind of file, of damage, and of verdict.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, file: &Path, change: Change, verdict: &Verdict) {
        let file = file.extension().and_then(|extension| extension.to_str()).unwrap_or("others");
        let (change, verdict) = (format!("{change:?}"), format!("{verdict:?}"));
        let word = |text: &str| text.split(|c: char| !c.is_alphabetic()).next().map(str::to_string);
        let words = [Some(file.to_string()), word(&change), word(&verdict)];
        *self.0.entry(words.into_iter().flatten().collect::<Vec<_>>().join(" ")).or_default() += 1;
    }

    /// Adds a line of what another process has printed of its own.
    fn add(&mut self, line: &str) {
        let (name, count) = line.rsplit_once(' ').unwrap();
        *self.0.entry(name.to_string()).or_default() += count.parse::<usize>().unwrap();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "TALLY {name} {count}"))
    }
}

/// What a process of [`no_damage_gives_a_wrong_answer`] does; nothing without it.
#[test]
fn judge_a_share() {
    if std::env::var_os("OMEN_MUTANTS_SHARE").is_none() {
        return;
    }
    let (from, count) = (number("OMEN_MUTANTS_FROM", 0), number("OMEN_MUTANTS", MUTANTS));
    let specimens = Specimen::all();
    let mutants: Vec<Mutants<'_>> = specimens.iter().map(Mutants::of).collect();
    let round: usize = mutants.iter().map(Mutants::len).sum();
    // Evenly spread: with fewer than a round, some of all; the golden section visits all of a round
    // before any twice, since its numerator is made to share no factor with the round.
    let stride = coprime_stride(round);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // One line for each, without a trace: which mutant it was, the verdict says.
    std::panic::set_hook(Box::new(|panic| println!("PANIC {panic}")));
    let watch = watch();
    let (mut judged, mut tally) = (0, Tally::default());
    for number in (from..).step_by(PROCESSES).take(count.div_ceil(PROCESSES)) {
        let (turn, mut place) = (number / round, number % round * stride % round);
        let mut kind = 0;
        while place >= mutants[kind].len() {
            place -= mutants[kind].len();
            kind += 1;
        }
        let (specimen, all) = (&specimens[kind], &mutants[kind]);
        let (file, change) = all.get(turn * all.len() + place);
        let Some(damaged) = all.files(file, change) else { continue };
        let name = specimen.files[file].0.display();
        let story = format!("{number}: {}: {name}: {change:?}", specimen.name);
        if judged % 500 == 0 {
            println!("AT {story}");
        }
        *watch.lock().unwrap() = (Instant::now(), story.clone());
        judged += 1;
        let verdict = judge(specimen, (file, change), &damaged, &runtime);
        tally.count(&specimen.files[file].0, change, &verdict);
        if let Verdict::Wrong(how) = verdict {
            println!("WRONG {story}: {}", how.lines().next().unwrap_or_default());
        } else if verdict == Verdict::Right && must_be_noticed(specimen, file, change) {
            println!("WRONG {story}: not noticed");
        }
    }
    print!("{tally}");
    println!("JUDGED {judged}");
}

/// Every byte that a manifest, a segment or a deletion vector was published with is under a
/// checksum. Nobody reads what was added behind; the logs, which may go on after what they hold,
/// are judged by their rows; `LOCK` and the reserve mean nothing; and what a flush wrote whose
/// manifest failed, nobody names.
fn must_be_noticed(specimen: &Specimen, file: usize, change: Change) -> bool {
    let extension = specimen.files[file].0.extension().and_then(|e| e.to_str());
    let is_covered = matches!(extension, Some("manifest" | "parquet" | "deletions"));
    specimen.name != "two logs"
        && is_covered
        && change != Change::Longer
        && !matches!(change, Change::Returned(_))
}

/// A stride of about 0.618 of a round that visits every place.
fn coprime_stride(round: usize) -> usize {
    let shares_no_factor = |stride: &usize| {
        let (mut a, mut b) = (*stride, round);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    (round * 618 / 1_000 + 1..).find(shares_no_factor).unwrap_or(1)
}

/// Ends the process if one mutant takes too long.
fn watch() -> &'static Mutex<(Instant, String)> {
    let state: &'static Mutex<(Instant, String)> =
        Box::leak(Box::new(Mutex::new((Instant::now(), String::from("the specimens")))));
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let (since, story) = state.lock().unwrap().clone();
            if since.elapsed() > PATIENCE {
                println!("WRONG {story}: no answer after {PATIENCE:?}");
                std::process::exit(3);
            }
        }
    });
    state
}

#[test]
fn planted_damage_is_found() {
    let specimen = Specimen::closed();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Another database, whole in itself, in the place of the specimen.
    let other = Specimen::unclosed();
    let verdict = judge(&specimen, (0, Change::Longer), &other.files, &runtime);
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
    // The same rows as an earlier moment are no excuse unless the newest log was cut.
    let cut = (other.newest_log(), Change::Cut(0));
    let earlier = Specimen { states: vec![other.states[0].clone(), String::new()], ..other };
    let mut without = earlier.files.clone();
    without[cut.0].1 = earlier.files[cut.0].1.clone();
    let verdict = judge(&earlier, (0, Change::Deleted), &without, &runtime);
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}
