//! SQL of any depth is answered or refused on the stack that a thread of an application has.
//!
//! Statements run in a child process, this test binary itself, so that an overflow of its stack is
//! seen as the signal that ends it.

mod shapes;

use std::process::{Command, Output};

use omen_provider::{Error, Options, Session};

/// What a thread gets if nobody asks for more.
const STACK_BYTES: usize = 2 << 20;

/// By this the child is told what to do: `checked:kind:terms` or `raw:kind:terms`.
const TASK: &str = "OMEN_DEEP_SQL";

fn child(task: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["deep_sql::runs_what_it_is_told", "--exact", "--nocapture"])
        .env(TASK, task)
        .output()
        .unwrap()
}

/// What the child said of its statement.
fn said(task: &str) -> String {
    let output = child(task);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{task}: {}: {text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let line = text.lines().find(|line| line.starts_with('<')).unwrap_or_default();
    line.to_string()
}

#[test]
fn deep_statements_are_refused() {
    for kind in shapes::KINDS {
        let said = said(&format!("checked:{kind}:100000"));
        let right = match *kind {
            "when" => said == "<1 rows>",
            _ => said.starts_with("<refused>") && said.contains("the limit is"),
        };
        assert!(right, "{kind}: {said}");
    }
}

/// The largest that is not refused is carried out.
#[test]
fn what_is_not_refused_is_carried_out() {
    for kind in shapes::KINDS {
        let (mut taken, mut refused) = (1, 1_200);
        while refused - taken > 1 {
            let middle = (taken + refused) / 2;
            match said(&format!("checked:{kind}:{middle}")).starts_with("<refused>") {
                true => refused = middle,
                false => taken = middle,
            }
        }
        println!("{kind}: {taken}");
    }
}

#[test]
fn runs_what_it_is_told() {
    let Ok(task) = std::env::var(TASK) else { return };
    let parts: Vec<&str> = task.split(':').collect();
    let [mode, kind, terms] = parts.as_slice() else { panic!("{task}") };
    let sql = shapes::sql(kind, terms.parse().unwrap());
    let checked = *mode == "checked";
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(move || on_small_stack(&sql, checked)).unwrap().join().unwrap();
}

fn on_small_stack(sql: &str, checked: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = omen_provider::store::Store::object_store(
            std::sync::Arc::new(object_store::memory::InMemory::new()),
            "db",
        );
        let database = Options::default().open_store(store).await.unwrap();
        let session = database.session();
        session.sql("CREATE TABLE t (a BIGINT PRIMARY KEY, b BOOLEAN, s TEXT)").await.unwrap();
        session.sql("INSERT INTO t VALUES (1, true, 'x')").await.unwrap().collect().await.unwrap();
        match answer(&session, sql, checked).await {
            Ok(rows) => println!("<{rows} rows>"),
            Err(error @ Error::InvalidInput(_)) => println!("<refused> {error}"),
            Err(error) => println!(
                "<failed> {}",
                error
                    .to_string()
                    .split_at_checked(300)
                    .map_or(error.to_string(), |s| s.0.to_string())
            ),
        }
    });
}

async fn answer(session: &Session, sql: &str, checked: bool) -> omen_provider::Result<usize> {
    let frame = match checked {
        true => session.sql(sql).await?,
        false => session.context().sql(sql).await?,
    };
    Ok(frame.collect().await?.iter().map(|batch| batch.num_rows()).sum())
}
