use chrono::{DateTime, Utc};

use crate::{
    post::Reference,
    state::{NewPost, SharedState},
};

/// The sandbox for an actor: its accounts and latest posts, and a way to write posts.
#[derive(Debug)]
pub struct Scene<'a> {
    inner: &'a mut SharedState,
    now: DateTime<Utc>,
}

impl<'a> Scene<'a> {
    pub(crate) fn of(inner: &'a mut SharedState) -> Self {
        Self { inner, now: Utc::now() }
    }
}

impl Scene<'_> {
    /// The time at which the actor is called.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The seed. The same seed gives the same posts.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The accounts that write by themselves; in a turn there is at least one.
    pub fn watched(&self) -> &[String] {
        &self.inner.watched
    }

    /// The accounts that posts may be made as.
    pub fn bots(&self) -> &[String] {
        &self.inner.bots
    }

    /// The id of the last post of an account that is neither a reply nor a repost.
    pub fn last_of(&self, username: &str) -> Option<String> {
        let world = &self.inner.world;
        let author = world.find(username)?.id;
        let own = |reference| matches!(reference, Reference::None | Reference::Quote(_));
        world.written().find(|post| post.author == author && own(post.reference)).map(|post| post.id.to_string())
    }

    /// The id of the last post that was made through the API and not deleted.
    pub fn last_made(&self) -> Option<String> {
        self.inner.world.made().find(|post| !post.deleted).map(|post| post.id.to_string())
    }

    /// Writes a post as an account, and answers its id. An unknown account is created.
    pub fn write(&mut self, username: &str, post: impl Into<NewPost>) -> String {
        self.inner.write(username, post.into()).to_string()
    }
}
