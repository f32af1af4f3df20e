//! The score display that LocalScore prints at its end.

use std::io::{self, Write};

use super::number::Fixed;
use crate::model::Summary;

/// How the display looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Use the colours of the C tool.
    pub color: bool,
    /// Print a line of text instead of the logo and the large digits.
    pub plaintext: bool,
}

const LOGO: &str = r"    __    ____  _________    __   _____ __________  ____  ______
   / /   / __ \/ ____/   |  / /  / ___// ____/ __ \/ __ \/ ____/
  / /   / / / / /   / /| | / /   \__ \/ /   / / / / /_/ / __/   
 / /___/ /_/ / /___/ ___ |/ /______/ / /___/ /_/ / _, _/ /___   
/_____/\____/\____/_/  |_/_____/____/\____/\____/_/ |_/_____/   
";

/// The five rows of each digit, a `#` for each block.
const DIGITS: [[&str; 5]; 10] = [
    [" ###### ", "##    ##", "##    ##", "##    ##", " ###### "],
    [" ## ", "### ", " ## ", " ## ", " ## "],
    ["######  ", "     ## ", " #####  ", "##      ", "####### "],
    ["######  ", "     ## ", " #####  ", "     ## ", "######  "],
    ["##   ## ", "##   ## ", "####### ", "     ## ", "     ## "],
    ["####### ", "##      ", "######  ", "     ## ", "######  "],
    [" ###### ", "##      ", "####### ", "##    ##", " ###### "],
    ["####### ", "     ## ", "    ##  ", "   ##   ", "  ##    "],
    [" #####  ", "##   ## ", " #####  ", "##   ## ", " #####  "],
    [" ###### ", "##    ##", " #######", "      ##", " ###### "],
];

/// Writes the display of a summary, byte for byte as the C tool's `displayResults`.
pub(crate) fn write(out: &mut dyn Write, summary: &Summary, style: Style) -> io::Result<()> {
    let color = |code: &'static str| if style.color { code } else { "" };
    let score = summary.printed_score();

    write!(out, "\n{}", color("\x1b[1;35m"))?;
    if style.plaintext {
        write!(out, "LocalScore: \t\t {score}")?;
    } else {
        out.write_all(LOGO.as_bytes())?;
        out.write_all(b"\n")?;
        write_large(out, score)?;
    }
    writeln!(out, "{}", color("\x1b[0m"))?;

    let lines = [
        ("Token Generation: \t", "2", summary.avg_gen_tps, "tok/s"),
        (
            "Prompt Processing: \t",
            "6",
            summary.avg_prompt_tps,
            "tok/s",
        ),
        ("Time to First Token:\t", "3", summary.avg_ttft_ms, "ms"),
    ];
    for (label, hue, value, unit) in lines {
        let value = Fixed(value, 2);
        if style.color {
            writeln!(
                out,
                "\x1b[3{hue}m{label} \x1b[1;3{hue}m{value}\x1b[0m \x1b[3;3{hue}m{unit}\x1b[0m"
            )?;
        } else {
            writeln!(out, "{label} {value} {unit}")?;
        }
    }
    out.write_all(color("\x1b[0m").as_bytes())
}

fn write_large(out: &mut dyn Write, number: i32) -> io::Result<()> {
    let digits = number.unsigned_abs().to_string();
    #[allow(clippy::needless_range_loop, reason = "the rows lie across the digits")]
    for row in 0..5 {
        let line: String = digits
            .bytes()
            .map(|digit| DIGITS[usize::from(digit - b'0')][row].to_owned() + " ")
            .collect();
        writeln!(out, "{}", line.replace('#', "█"))?;
    }
    Ok(())
}
