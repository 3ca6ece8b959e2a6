//! Reads the keyboard.

use std::{thread, time::Duration};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// An input from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Quit,
    /// A key for the board.
    Pressed(Pressed),
    /// The terminal was resized.
    Redraw,
}

/// A key on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    Up,
    Down,
    Pause,
    Resume,
    Yes,
    /// Any other key; it declines a question.
    Other,
}

const LOOK: Duration = Duration::from_millis(250);

/// The keys as they are pressed, until the receiver is dropped.
pub fn read() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(16);
    // A thread of its own: reading the terminal blocks.
    thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => return,
            }
            let Ok(event) = event::read() else { return };
            if let Some(key) = meaning(&event)
                && sender.blocking_send(key).is_err()
            {
                return;
            }
        }
    });
    receiver
}

fn meaning(event: &Event) -> Option<Key> {
    let KeyEvent { code, modifiers, .. } = match event {
        Event::Resize(..) => return Some(Key::Redraw),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') => Some(Key::Quit),
        code => Some(Key::Pressed(match code {
            KeyCode::Up | KeyCode::Char('k') => Pressed::Up,
            KeyCode::Down | KeyCode::Char('j') => Pressed::Down,
            KeyCode::Char('p') => Pressed::Pause,
            KeyCode::Char('r') => Pressed::Resume,
            KeyCode::Char('y' | 'Y') => Pressed::Yes,
            _ => Pressed::Other,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        meaning(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn ctrl_c_quits_although_the_terminal_does_not_send_a_signal_for_it() {
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), Some(Key::Pressed(Pressed::Other)));
        assert_eq!(press(KeyCode::Char('p'), KeyModifiers::NONE), Some(Key::Pressed(Pressed::Pause)));
    }
}
