use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use perch_clients::{XClient, XError};
use perch_jobs::AccountId;

/// The users whom the tokens of the accounts belong to. Each is read from X once in the life of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnIds(Arc<Mutex<HashMap<AccountId, Owner>>>);

#[derive(Debug, Clone)]
struct Owner {
    id: String,
    handle: String,
}

impl OwnIds {
    /// The user id of an account, as X gives it for the account's credentials.
    pub(crate) async fn get(&self, x: &XClient, account: &AccountId) -> Result<String, XError> {
        self.owner(x, account).await.map(|owner| owner.id)
    }

    /// The handle of an account, as X gives it for the account's credentials.
    pub(crate) async fn handle(&self, x: &XClient, account: &AccountId) -> Result<String, XError> {
        self.owner(x, account).await.map(|owner| owner.handle)
    }

    async fn owner(&self, x: &XClient, account: &AccountId) -> Result<Owner, XError> {
        if let Some(owner) = self.known(account) {
            return Ok(owner);
        }
        let user = x.me(account).await?;
        let owner = Owner { id: user.id, handle: user.username };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone(), owner.clone());
        Ok(owner)
    }

    fn known(&self, account: &AccountId) -> Option<Owner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }
}
