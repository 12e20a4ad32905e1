//! DataFusion's own SQL scripts with their tables created in OmenDB: whatever record DataFusion
//! passes as it is, built with the same features, a session of OmenDB must pass too.
//!
//! What differs for a cause that is known (`causes.rs`) is counted apart, by its cause.
//!
//! `OMEN_SLT=all` runs all scripts, `OMEN_SLT=joins` those whose names have that word; otherwise a
//! fixed share is run. `OMEN_SLT_REPORT=FILE` writes what each script came to, and every record
//! that only DataFusion passes.

mod causes;
mod engine;
mod files;
mod script;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use omen_provider::Options;

use causes::Missing;
use engine::Engine;
use script::{Judged, run};

/// Of so many scripts one is run, if nothing else is asked for.
const SHARE: usize = 6;

/// What a script came to.
struct Compared {
    name: String,
    passed: usize,
    /// Not passed by DataFusion as it is: tables that are made by its own runner's code, data
    /// that is not in the package, features that are not built.
    neither: usize,
    /// With the cause, if it is known.
    failed: Vec<(Judged, Option<&'static str>)>,
}

impl Compared {
    fn unexplained(&self) -> usize {
        self.failed.iter().filter(|(_, cause)| cause.is_none()).count()
    }
}

async fn compare(path: &Path, name: &str, scratch: &Path) -> Result<Compared, String> {
    let fresh = || -> std::io::Result<()> {
        let stem = path.file_stem().unwrap_or_default();
        let folder = scratch.join(stem);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)
    };
    fresh().map_err(|error| error.to_string())?;
    let stock = run(path, &Engine::stock()).await?;
    fresh().map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let database =
        Options::default().open(folder.path()).await.map_err(|error| error.to_string())?;
    let engine = Engine::omen(&database).await.map_err(|error| error.to_string())?;
    let ours = run(path, &engine).await?;
    drop(engine);
    database.close().await.map_err(|error| format!("closing: {error}"))?;
    let mut compared = Compared { name: name.to_string(), passed: 0, neither: 0, failed: vec![] };
    let mut missing = Missing::default();
    for (stock, ours) in stock.into_iter().zip(ours) {
        match (stock.failure, &ours.failure) {
            (Some(_), _) => compared.neither += 1,
            (None, None) => {
                compared.passed += 1;
                missing.passed(&ours.sql);
            }
            (None, Some(_)) => {
                let cause = missing.cause(&ours);
                compared.failed.push((ours, cause));
            }
        }
    }
    Ok(compared)
}

#[test]
fn what_datafusion_passes_omendb_passes() {
    let scripts = match files::scripts() {
        Ok(scripts) => scripts,
        Err(error) => return left_out(&error),
    };
    let asked = std::env::var("OMEN_SLT").unwrap_or_default();
    let chosen = scripts.iter().enumerate().filter(|(index, (_, name))| match asked.as_str() {
        "" => index % SHARE == 0,
        "all" => true,
        word => name.contains(word),
    });
    let place = tempfile::tempdir().expect("a temporary directory");
    let scratch = place.path().join("test_files/scratch");
    std::fs::create_dir_all(&scratch).expect("a temporary directory");
    // Scripts name files from there.
    std::env::set_current_dir(place.path()).expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut all = Vec::new();
    for (_, (path, name)) in chosen {
        let (path, name, scratch) = (path.clone(), name.clone(), scratch.clone());
        let started = std::time::Instant::now();
        let task = runtime.spawn(async move { compare(&path, &name, &scratch).await });
        let compared = runtime.block_on(task).expect("no panic").expect("a script");
        let seconds = started.elapsed().as_secs_f32();
        eprintln!(
            "{}: {} passed, {} otherwise, {} unexplained, {} by neither, {seconds:.1} s",
            compared.name,
            compared.passed,
            compared.failed.len(),
            compared.unexplained(),
            compared.neither
        );
        all.push(compared);
    }
    if let Ok(report) = std::env::var("OMEN_SLT_REPORT") {
        std::fs::write(report, written(&all)).expect("a report");
    }
    eprintln!("{}", by_cause(&all));
    let unexplained: usize = all.iter().map(Compared::unexplained).sum();
    assert_eq!(unexplained, 0, "records that only DataFusion passes, without a known cause");
    assert!(all.iter().map(|script| script.passed).sum::<usize>() > 0, "no record was passed");
}

/// How many records differ, by cause.
fn by_cause(all: &[Compared]) -> String {
    let mut causes = BTreeMap::<&str, usize>::new();
    for (_, cause) in all.iter().flat_map(|script| &script.failed) {
        *causes.entry(cause.unwrap_or("UNEXPLAINED")).or_default() += 1;
    }
    let passed: usize = all.iter().map(|script| script.passed).sum();
    let neither: usize = all.iter().map(|script| script.neither).sum();
    let mut text = format!("{} scripts: {passed} passed, {neither} by neither\n", all.len());
    for (cause, count) in causes {
        let _ = writeln!(text, "{count:6} {cause}");
    }
    text
}

/// Each script and what differs in it, the unexplained last.
fn written(all: &[Compared]) -> String {
    let mut text = by_cause(all);
    for script in all {
        let Compared { name, passed, neither, failed } = script;
        let differ = failed.len();
        let _ = writeln!(text, "{name}: {passed} passed, {differ} otherwise, {neither} by neither");
    }
    for script in all {
        for (record, cause) in &script.failed {
            let cause = cause.unwrap_or("UNEXPLAINED");
            let Judged { place, sql, failure } = record;
            let failure = failure.as_deref().unwrap_or_default();
            let name = &script.name;
            let _ = writeln!(text, "\n### {cause}: {name}:{place}\n{sql}\n--\n{failure}");
        }
    }
    text
}

/// Says in one line, which `.ci/run` repeats, that the suite was not run.
fn left_out(why: &str) {
    let line = format!("DataFusion's SQL scripts: {why}\n");
    eprint!("{line}");
    if let Ok(file) = std::env::var("OMEN_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        let _ = file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes()));
    }
}
