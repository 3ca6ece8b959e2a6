use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use perch_clients::{XClient, XError};
use perch_jobs::AccountId;

/// The user ids of the accounts that Perch posts as, asked for once in the life of a process: they never change.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnIds(Arc<Mutex<HashMap<AccountId, String>>>);

impl OwnIds {
    /// The user id of an account, as X gives it for the account's credentials.
    pub(crate) async fn get(&self, x: &XClient, account: &AccountId) -> Result<String, XError> {
        if let Some(id) = self.known(account) {
            return Ok(id);
        }
        let id = x.me(account).await?.id;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone(), id.clone());
        Ok(id)
    }

    fn known(&self, account: &AccountId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }
}
