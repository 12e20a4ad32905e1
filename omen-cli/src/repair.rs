//! `omen repair`: what may be done about a damaged log, and, if that is ordered, does it.
//!
//! Nothing else is repaired: a damaged segment loses rows that no file has any more, and a damaged
//! index heals by itself.

use std::path::Path;

use omen_provider::{LogCut, Options};

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::notes;

/// Runs the subcommand. Without `cut_log` nothing is written.
pub(crate) async fn run(path: &Path, cut_log: bool) -> Result<()> {
    let (directory, options) =
        (path.to_path_buf(), Options { create: false, ..Options::default() });
    let found = interruptible_apart(async move {
        Ok(match cut_log {
            true => options.cut_damaged_log(directory).await?,
            false => options.find_log_damage(directory).await?,
        })
    });
    let Some(cut) = found.await? else {
        let shown = path.display();
        notes::note(format!("the log of {shown} is whole: there is nothing to repair in it"));
        notes::note("omen verify looks at all files; omen restore makes a database of a backup");
        return Ok(());
    };
    describe(&cut);
    if cut_log {
        let lost = path.join("lost");
        notes::note(format!("cut; the log files as they were are in {}", lost.display()));
        return Ok(());
    }
    Err(Failure::Error(format!(
        "nothing was changed; to give up what follows the damage: omen repair {} --cut-log",
        path.display()
    )))
}

fn describe(cut: &LogCut) {
    notes::note(format!("{}", cut.damage));
    notes::note(format!(
        "{} before it can be kept; {} from there on, and logs after that file, cannot, though they \
         may hold statements that were acknowledged",
        notes::counted(cut.statements, "statement"),
        notes::bytes(cut.bytes),
    ));
}
