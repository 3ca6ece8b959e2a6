//! Personas: who an account speaks as. They are rows that operators add and change while Perch runs, and every bot that writes as an
//! account may read the persona of that account.

mod check;
mod costs;
mod material;
mod model;
mod read;
mod table;

pub use check::{FieldProblem, PersonaLimits};
pub use material::material;
pub use model::{CatchUpPolicy, Evergreen, Persona, PersonaSpec, ReviewPolicy, Topic};
pub use table::{PersonaChange, PersonaFilter, PersonaStore, PersonaTable};
