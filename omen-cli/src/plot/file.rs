//! The file a picture is written to: its ending says which form, and it appears whole or not at
//! all.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::svg::escape;
use crate::failure::{Failure, Result};

/// Where to write a picture, and as what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlotFile {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Svg,
    /// The same picture in a page.
    Html,
}

/// A picture as SVG, and what it is called.
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) svg: String,
}

impl PlotFile {
    /// Reads the form off the ending.
    pub(crate) fn new(path: OsString) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        let form = match ending.as_deref() {
            Some("svg") => Form::Svg,
            Some("html") => Form::Html,
            _ => {
                let stem = path.file_name().filter(|name| !name.to_string_lossy().starts_with('.'));
                let name = path.with_file_name(stem.unwrap_or("index".as_ref()));
                let name = name.with_extension("svg");
                return Err(format!(
                    "the name must end in .svg (a picture that scales without loss) or .html (a \
                     page for the browser), for example {}",
                    name.display()
                ));
            }
        };
        Ok(Self { path, form })
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails early if there is no directory to write into.
    pub(super) fn check_directory(&self) -> Result<()> {
        let missing = self.directory().filter(|directory| !directory.is_dir());
        missing.map_or(Ok(()), |directory| {
            let reason = format!("there is no directory {}", directory.display());
            Err(self.failure(&reason))
        })
    }

    /// Writes a picture, in place of what was there; returns its length.
    pub(super) fn write(&self, picture: &Picture) -> Result<u64> {
        let text = match self.form {
            Form::Svg => format!("{}\n", picture.svg),
            Form::Html => page(picture),
        };
        self.replace(text.as_bytes()).map_err(|error| self.failure(&error.to_string()))?;
        Ok(text.len() as u64)
    }

    /// Nobody sees half a picture: it is written beside its place and then moved there.
    fn replace(&self, content: &[u8]) -> io::Result<()> {
        // Not longer than a name may be, however long that of the file is.
        let beside = self.path.with_file_name(format!(".omen-plot.{}.tmp", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
            file.write_all(content)?;
            drop(file);
            fs::rename(&beside, &self.path)
        };
        let written = write();
        if written.is_err() {
            // If it cannot be removed either, the first error says more.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn directory(&self) -> Option<&Path> {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty())
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::Error(format!("cannot write {}: {reason}", self.path.display()))
    }
}

fn page(picture: &Picture) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{}</title>\n\
         <style>body {{ margin: 1rem; background: #e4e7eb; text-align: center }} \
         svg {{ max-width: 100%; height: auto }}</style>\n</head>\n<body>\n{}\n</body>\n</html>\n",
        escape(&picture.title),
        picture.svg
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_and_others_are_refused_with_a_hint() {
        let form = |name: &str| PlotFile::new(name.into()).map(|file| file.form);
        assert_eq!(form("a.svg"), Ok(Form::Svg));
        assert_eq!(form("x/A.HTML"), Ok(Form::Html));
        for name in ["a.png", "a", "svg", ".svg", "a.svg.gz", ""] {
            assert!(form(name).is_err_and(|hint| hint.contains(".svg")), "{name}");
        }
        assert!(form("x/a.png").is_err_and(|hint| hint.contains("example x/a.svg")));
    }
}
