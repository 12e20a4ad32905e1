//! A real ext4 in a file, mounted through a loop device, whose power can be cut.
//!
//! The kernel takes the part of the power: ext4 has a call of its own that stops a file system as
//! it is, with nothing more written from memory. Mounted again, it lacks what was not synced.
//!
//! There is one such disk at a time on a machine: a lock in the directory for temporary files sees
//! to that. What a process that died has left mounted is removed by the next one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The beginning of the names of directories; the process and a number follow.
const PREFIX: &str = "omen-loop-disk-";

/// Stops the file system that the directory is on; with flag 1 the journal in memory is written
/// first (but no data), with 2 nothing is. Perl, since the call has no safe wrapper in Rust; it is
/// there on every Debian.
const SHUT_DOWN: &str = r#"
    open(my $directory, "<", $ARGV[0]) or die "open: $!\n";
    my $flag = pack("L", $ARGV[1]);
    ioctl($directory, 0x8004587d, $flag) or die "ioctl: $!\n";
"#;

/// What a cut does with the file system's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// What is in memory of it is written: files may have their new names and lengths, and not
    /// their bytes.
    Written = 1,
    /// What is in memory of it is lost as well.
    Lost = 2,
}

/// How large the blocks of a file system are, which decides how logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// 1 KiB: through the system's cache. A cut takes what was not synced.
    Small,
    /// 4 KiB, as of most: past the cache. A cut comes too late for what is on the disk by then.
    Usual,
}

/// A file system of its own, gone when dropped.
pub(super) struct LoopDisk {
    /// Holds the image and the directory that it is mounted on.
    home: PathBuf,
    is_mounted: bool,
    _alone: File,
}

impl LoopDisk {
    /// Makes one. An error: what is missing on this machine.
    pub(super) fn new(mebibytes: u64, blocks: Blocks) -> Result<Self, String> {
        let alone = lock()?;
        remove_leftovers();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let home = std::env::temp_dir().join(name);
        let mut disk = Self { home, is_mounted: false, _alone: alone };
        std::fs::create_dir_all(disk.path()).map_err(|e| format!("no directory: {e}"))?;
        let image = File::create(disk.image()).map_err(|e| format!("no image: {e}"))?;
        image.set_len(mebibytes << 20).map_err(|e| format!("no image: {e}"))?;
        let size = if blocks == Blocks::Small { "-b1024" } else { "-b4096" };
        let options = ["-q", "-F", "-m0", size].map(Path::new);
        run("mkfs.ext4", &[&options[..], &[&disk.image()]].concat())?;
        run("perl", &["-e".as_ref(), "1".as_ref()])?;
        disk.mount()?;
        Ok(disk)
    }

    /// The root of the file system.
    pub(super) fn path(&self) -> PathBuf {
        self.home.join("mounted")
    }

    /// Takes up room by zeros in a file beside all others; what is left, if that is less by now,
    /// for the command may take some at the same time.
    pub(super) fn ballast(&self, bytes: u64) {
        let path = self.path().join("ballast");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        match std::io::copy(&mut std::io::repeat(0).take(bytes), &mut file) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
            result => drop(result.unwrap()),
        }
        file.sync_all().unwrap();
    }

    /// Gives back all room that was taken up so.
    pub(super) fn drop_ballast(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// The bytes that are free.
    pub(super) fn free(&self) -> u64 {
        let mut command = Command::new("df");
        let output = command.args(["--output=avail", "-B1"]).arg(self.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    /// Cuts the power: from now on nothing gets to the medium, and nothing is answered.
    pub(super) fn cut(&self, journal: Journal) -> Result<(), String> {
        let flag = (journal as u32).to_string();
        let arguments: [&Path; 4] =
            ["-e".as_ref(), SHUT_DOWN.as_ref(), &self.path(), flag.as_ref()];
        run("perl", &arguments)
    }

    /// Puts the power on again. Nobody may have a file open.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn image(&self) -> PathBuf {
        self.home.join("image")
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o".as_ref(), "loop".as_ref(), &self.image(), &self.path()])?;
        self.is_mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        unmount(&self.path())?;
        self.is_mounted = false;
        Ok(())
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // Somebody has a file open still: it goes when that is closed.
            let _ = run("umount", &["-l".as_ref(), &self.path()]);
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Waits until no other process, and no other test of this one, has such a disk.
fn lock() -> Result<File, String> {
    let path = std::env::temp_dir().join(format!("{PREFIX}lock"));
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|e| format!("no lock: {e}"))?;
    file.lock().map_err(|e| format!("no lock: {e}"))?;
    Ok(file)
}

/// Removes the disks of processes that ended without doing so.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let Some((process, _)) = rest.split_once('-') else { continue };
        if Path::new("/proc").join(process).exists() {
            continue;
        }
        let _ = run("umount", &["-l".as_ref(), &entry.path().join("mounted")]);
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

/// A process that was killed may take a moment to let go of its files.
fn unmount(path: &Path) -> Result<(), String> {
    for _ in 0..100 {
        if run("umount", &[path]).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    run("umount", &[path])
}

/// Runs one of the system's tools. An error: what it said, or that it is not there.
fn run(program: &str, arguments: &[&Path]) -> Result<(), String> {
    let mut command = Command::new(program);
    // Where tools of the administrator are is not on everybody's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(arguments).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command.output().map_err(|e| format!("{program} does not run: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} fails: {}", said.trim().replace('\n', "; ")))
}
