//! A terminal that is drawn on.
//!
//! Promise: the terminal is given back as it was when this is dropped, also after an error.

use ratatui::{DefaultTerminal, Frame};

use crate::error::CliError;

/// The whole terminal.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self, CliError> {
        Ok(Self { terminal: ratatui::try_init().map_err(CliError::Output)? })
    }

    /// Draws all of it anew.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> Result<(), CliError> {
        self.terminal.draw(view).map(drop).map_err(CliError::Output)
    }

    /// Gives the terminal to somebody else, until it is taken back.
    pub(super) fn lend(&mut self) -> Result<(), CliError> {
        ratatui::try_restore().map_err(CliError::Output)
    }

    /// Takes the terminal back.
    pub(super) fn take_back(&mut self) -> Result<(), CliError> {
        self.terminal = ratatui::try_init().map_err(CliError::Output)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell, and nothing else to do.
        drop(ratatui::try_restore());
    }
}
