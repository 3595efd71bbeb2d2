//! The judge: observation and controls in, verdict out.
