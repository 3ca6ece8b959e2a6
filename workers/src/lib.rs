//! perch-workers
