//! The posts that appear while the sandbox runs: the watched accounts take turns, and the actors write.

use crate::{actor::Turn, app::App, draw::Draw, scene::Scene};

/// Writes the posts of the watched accounts from before the start.
pub(crate) fn backlog(app: &App) {
    let mut inner = app.state.lock();
    for account in inner.watched.clone() {
        for actor in app.actors.iter() {
            actor.backlog(&mut Scene::of(&mut inner), &account);
        }
    }
}

/// Gives the next watched account its turn; `tick` decides whose it is.
pub(crate) fn write_next(app: &App, tick: u64) {
    let mut inner = app.state.lock();
    if !inner.flows {
        return;
    }
    let Some(count) = u64::try_from(inner.watched.len()).ok().filter(|n| *n > 0) else { return };
    let account = inner.watched[usize::try_from(tick % count).unwrap_or(0)].clone();
    let mut turn = Turn { account: &account, number: tick / count, draw: Draw::of(inner.seed, "flow", tick) };
    for actor in app.actors.iter() {
        actor.turn(&mut Scene::of(&mut inner), &mut turn);
    }
    drop(inner);
    app.state.changed();
}
