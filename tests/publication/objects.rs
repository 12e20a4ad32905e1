//! An object store whose answers get lost: requests fail before or after their effect, or arrive
//! when nobody waits for them any more; and chosen ones are held until a test lets them go.
//!
//! Several views of one store: each is what one process has of it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use omen_provider::store::Store;
use tokio::sync::Notify;

use crate::faulty_disk::Seeded;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To put an object.
    Put,
    /// To read one.
    Get,
    /// To remove one.
    Delete,
    /// To list a folder.
    List,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is lost.
    Lost,
    /// It is carried out, the answer is lost.
    Unanswered,
    /// It fails, and is carried out so many turns later.
    Late(u64),
    /// It waits until the view is released.
    Held,
}

/// Which requests meet which fate.
pub type Rule = Box<dyn FnMut(Request, &str) -> Fate + Send>;

/// A process's view of the store; clones are the same view.
#[derive(Clone)]
pub struct View {
    inner: Arc<InMemory>,
    rule: Arc<Mutex<Rule>>,
    released: Arc<Notify>,
    held: Arc<Mutex<usize>>,
}

impl View {
    /// A view in which every request is answered.
    pub fn new(inner: &Arc<InMemory>) -> Self {
        let rule: Rule = Box::new(|_, _| Fate::Answered);
        let rule = Arc::new(Mutex::new(rule));
        Self { inner: Arc::clone(inner), rule, released: Arc::default(), held: Arc::default() }
    }

    /// A view in which requests meet the fates of a seed.
    pub fn unsteady(inner: &Arc<InMemory>, seed: u64) -> Self {
        let view = Self::new(inner);
        let mut seeded = Seeded::new(seed);
        view.rule(Box::new(move |request, _| match (request, seeded.below(100)) {
            (Request::Put, 0) | (Request::Delete, 0..3) | (Request::Get, 0) => Fate::Lost,
            (Request::Put, 1) | (Request::Delete, 3) => Fate::Unanswered,
            (Request::Put, 2) => Fate::Late(seeded.below(60)),
            _ => Fate::Answered,
        }));
        view
    }

    /// What becomes of requests from now on.
    pub fn rule(&self, rule: Rule) {
        *self.rule.lock().unwrap() = rule;
    }

    /// Answers every request from now on, also those that were held.
    pub fn release(&self) {
        self.rule(Box::new(|_, _| Fate::Answered));
        self.released.notify_waiters();
    }

    /// How many requests were held.
    pub fn held(&self) -> usize {
        *self.held.lock().unwrap()
    }

    /// The database of this view.
    pub fn store(&self) -> Store {
        Store::object_store(Arc::new(self.clone()), "db")
    }

    /// Waits its turns, and for what the rule says.
    async fn fate(&self, request: Request, path: &str) -> Fate {
        tokio::task::yield_now().await;
        let fate = (self.rule.lock().unwrap())(request, path.strip_prefix("db/").unwrap_or(path));
        if fate == Fate::Held {
            *self.held.lock().unwrap() += 1;
            self.released.notified().await;
            return Fate::Answered;
        }
        fate
    }
}

fn no_answer() -> Error {
    Error::Generic { store: "unsteady", source: "no answer".into() }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unsteady store")
    }
}

#[async_trait]
impl ObjectStore for View {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match self.fate(Request::Put, path.as_ref()).await {
            Fate::Answered | Fate::Held => self.inner.put_opts(path, payload, options).await,
            Fate::Lost => Err(no_answer()),
            Fate::Unanswered => {
                let _ = self.inner.put_opts(path, payload, options).await;
                Err(no_answer())
            }
            Fate::Late(turns) => {
                let (inner, path) = (Arc::clone(&self.inner), path.clone());
                tokio::spawn(async move {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                    let _ = inner.put_opts(&path, payload, options).await;
                });
                Err(no_answer())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fate(Request::Get, path.as_ref()).await {
            Fate::Answered => self.inner.get_opts(path, options).await,
            _ => Err(no_answer()),
        }
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.fate(Request::Get, path.as_ref()).await {
            Fate::Answered => self.inner.get_ranges(path, ranges).await,
            _ => Err(no_answer()),
        }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let view = self.clone();
        let delete = move |path: Result<Path>| {
            let view = view.clone();
            async move {
                let path = path?;
                let fate = view.fate(Request::Delete, path.as_ref()).await;
                if fate != Fate::Lost {
                    view.inner.delete(&path).await?;
                }
                if fate == Fate::Answered { Ok(path) } else { Err(no_answer()) }
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (view, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let folder = prefix.as_ref().map(ToString::to_string).unwrap_or_default();
            view.fate(Request::List, &folder).await;
            let found: Vec<_> = view.inner.list(prefix.as_ref()).collect().await;
            stream::iter(found)
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
