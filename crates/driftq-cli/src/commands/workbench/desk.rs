//! What lies on the workbench, and what each key does to it. No terminal and no server here.

use std::collections::BTreeMap;

use driftq_client::{ClientError, DeadLetterId, api::DeadLetter};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Read;
use crate::text::visible;

/// What the keys do, as the help shows it.
pub(super) const KEYS: [(&str, &str); 10] = [
    ("j k, arrows", "the next one, the one before"),
    ("J K, PgDn PgUp", "read on, read back"),
    ("Tab", "value, attempts side by side"),
    ("a b", "which attempts are side by side"),
    ("r", "redrive it as it is"),
    ("e", "edit it in $EDITOR, then redrive it"),
    ("d", "discard it"),
    ("R", "ask the server anew"),
    ("?", "this help"),
    ("q, Esc", "leave"),
];

/// How far one key reads on.
const PAGE_LINES: u16 = 10;

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Refresh,
    Redrive(DeadLetterId),
    Edit(DeadLetterId),
    Discard(DeadLetterId),
    Leave,
}

/// What the right side shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Side {
    /// The value, and what is known about the letter.
    #[default]
    Letter,
    /// Two attempts.
    Attempts,
}

/// What stands above all else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Above {
    #[default]
    Nothing,
    Help,
    /// A question, and what a yes does.
    Question(String, Act),
}

/// The dead letters, and what is looked at.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) letters: Vec<DeadLetter>,
    pub(super) selected: usize,
    details: BTreeMap<DeadLetterId, Read>,
    pub(super) side: Side,
    pub(super) scroll: u16,
    /// Which of the attempts are side by side, counted in the history; none yet is the first and the last.
    compared: Option<(usize, usize)>,
    pub(super) above: Above,
    pub(super) said: String,
}

impl Desk {
    /// Puts a new list on the desk; what was selected stays so if it is still there.
    pub(super) fn lay_out(&mut self, letters: Vec<DeadLetter>) {
        let before = self.id();
        self.letters = letters;
        self.details.clear();
        let again =
            before.and_then(|id| self.letters.iter().position(|letter| DeadLetterId::from(letter) == id));
        self.selected = again.unwrap_or(self.selected).min(self.letters.len().saturating_sub(1));
        self.turn();
    }

    /// The server's answer to a refresh.
    pub(super) fn told_list(&mut self, letters: Result<Vec<DeadLetter>, ClientError>) {
        match letters {
            Ok(letters) => {
                self.said = format!("{} open", letters.len());
                self.lay_out(letters);
            }
            Err(error) => self.say(error.to_string()),
        }
    }

    /// Says something in the last line.
    pub(super) fn say(&mut self, text: String) {
        self.said = visible(&text);
    }

    /// The letter that is looked at, if nobody has read it yet.
    pub(super) fn unread(&self) -> Option<DeadLetterId> {
        self.id().filter(|id| !self.details.contains_key(id))
    }

    /// The letter that is looked at, in full.
    pub(super) fn detail(&self) -> Option<&Read> {
        self.details.get(&self.id()?)
    }

    /// Keeps a letter that was read.
    pub(super) fn read(&mut self, id: &DeadLetterId, letter: Read) {
        self.details.insert(id.clone(), letter);
    }

    /// What became of a letter: closed ones leave the desk, refusals are told.
    pub(super) fn closed(&mut self, id: &DeadLetterId, answer: Result<String, ClientError>) {
        match answer {
            Ok(how) => {
                self.letters.retain(|letter| DeadLetterId::from(letter) != *id);
                self.selected = self.selected.min(self.letters.len().saturating_sub(1));
                self.turn();
                self.say(format!("{id} {how}"));
            }
            Err(error) => self.say(format!("{id}: {error}")),
        }
    }

    /// The attempts that are side by side, counted in a history of this length.
    pub(super) fn compared(&self, count: usize) -> (usize, usize) {
        let last = count.saturating_sub(1);
        self.compared.map_or((0, last), |(a, b)| (a.min(last), b.min(last)))
    }

    /// What a key does here, and what it asks of the server.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Act> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Act::Leave);
        }
        match std::mem::take(&mut self.above) {
            Above::Question(_, act) => return self.answer(key.code, act),
            // Any key takes the help away.
            Above::Help => return None,
            Above::Nothing => {}
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Act::Leave),
            KeyCode::Char('R') => return Some(Act::Refresh),
            KeyCode::Char('?') => self.above = Above::Help,
            KeyCode::Char('j') | KeyCode::Down => self.select(self.selected.saturating_add(1)),
            KeyCode::Char('k') | KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Char('J') | KeyCode::PageDown => self.scroll = self.scroll.saturating_add(PAGE_LINES),
            KeyCode::Char('K') | KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(PAGE_LINES),
            KeyCode::Tab => {
                self.side = match self.side {
                    Side::Letter => Side::Attempts,
                    Side::Attempts => Side::Letter,
                };
                self.scroll = 0;
            }
            KeyCode::Char('a') => self.compare(1, 0),
            KeyCode::Char('b') => self.compare(0, 1),
            KeyCode::Char('e') => return self.id().map(Act::Edit),
            KeyCode::Char('r') => self.ask("Redrive", Act::Redrive),
            KeyCode::Char('d') => self.ask("Give up", Act::Discard),
            _ => {}
        }
        None
    }

    fn answer(&mut self, key: KeyCode, act: Act) -> Option<Act> {
        if matches!(key, KeyCode::Char('y' | 'Y')) {
            return Some(act);
        }
        self.say("nothing was done".to_owned());
        None
    }

    fn ask(&mut self, what: &str, act: impl FnOnce(DeadLetterId) -> Act) {
        if let Some(id) = self.id() {
            self.above = Above::Question(format!("{what} {id}? [y/N]"), act(id));
        }
    }

    fn select(&mut self, index: usize) {
        let index = index.min(self.letters.len().saturating_sub(1));
        if index != self.selected {
            self.selected = index;
            self.turn();
        }
        self.said.clear();
    }

    /// Another letter is looked at: from its beginning.
    fn turn(&mut self) {
        (self.scroll, self.compared) = (0, None);
    }

    /// Moves one of the compared attempts on, around.
    fn compare(&mut self, a_by: usize, b_by: usize) {
        let count = match self.detail() {
            Some(Ok(letter)) => letter.history.len(),
            Some(Err(_)) | None => 0,
        };
        if count > 0 {
            let (a, b) = self.compared(count);
            self.compared = Some(((a + a_by) % count, (b + b_by) % count));
            self.side = Side::Attempts;
        }
    }

    fn id(&self) -> Option<DeadLetterId> {
        self.letters.get(self.selected).map(DeadLetterId::from)
    }
}
