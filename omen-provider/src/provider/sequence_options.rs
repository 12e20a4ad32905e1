//! Options of identity columns in the order that the parser takes them: people write START WITH
//! first, the parser wants INCREMENT BY before it. Pure: tokens in, tokens out. Called by
//! [`super::parse`].

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The words that begin an option, in the parser's order; NO begins several.
const ORDER: [&str; 6] = ["INCREMENT", "MINVALUE", "MAXVALUE", "START", "CACHE", "CYCLE"];

/// The tokens of a statement with the options behind each `IDENTITY (` in order.
pub(super) fn ordered(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while let Some(found) = tokens[at..].iter().position(|token| is_word(token, "IDENTITY")) {
        at += found + 1;
        let begins = tokens[at..].iter().position(|token| !is_space(token));
        let Some(open) = begins.map(|begins| at + begins) else { break };
        if tokens[open].token != Token::LParen {
            continue;
        }
        let ends = tokens[open..].iter().position(|token| token.token == Token::RParen);
        let Some(close) = ends.map(|ends| open + ends) else { break };
        order(&mut tokens[open + 1..close]);
        at = close;
    }
    tokens
}

/// Sorts options; each goes up to the next one's word.
fn order(tokens: &mut [TokenWithSpan]) {
    let mut options: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let mut no = None;
    for token in tokens.iter() {
        let place = ORDER.iter().position(|word| is_word(token, word));
        match (place, options.last_mut()) {
            (Some(place), _) => options.push((place, no.take().into_iter().collect())),
            _ if is_word(token, "NO") => {
                no = Some(token.clone());
                continue;
            }
            (None, None) if is_space(token) => options.push((0, Vec::new())),
            // Not options: `IDENTITY(1, 1)`.
            (None, None) => return,
            (None, Some(_)) => {}
        }
        if let Some((_, option)) = options.last_mut() {
            option.push(token.clone());
        }
    }
    options.sort_by_key(|(place, _)| *place);
    let sorted = options.into_iter().flat_map(|(_, option)| option).chain(no);
    // A word may follow on a number without a space then; tokens need none.
    tokens.iter_mut().zip(sorted).for_each(|(token, sorted)| *token = sorted);
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found)
        if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn words(sql: &str) -> String {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
        let ordered = ordered(tokens.clone());
        assert_eq!(ordered.len(), tokens.len());
        let words = ordered.iter().filter(|token| !is_space(token));
        words.map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_come_in_the_parsers_order_and_nothing_is_lost() {
        let written = "a IDENTITY (START WITH 5 NO CYCLE INCREMENT BY 2 NO MINVALUE), b";
        let parsed = "a IDENTITY ( INCREMENT BY 2 NO MINVALUE START WITH 5 NO CYCLE ) , b";
        assert_eq!(words(written), parsed);
        assert_eq!(words("IDENTITY(1, 2) x"), "IDENTITY ( 1 , 2 ) x");
        assert_eq!(words("\"IDENTITY\" (START INCREMENT)"), "\"IDENTITY\" ( START INCREMENT )");
        assert_eq!(words("IDENTITY (START NO"), "IDENTITY ( START NO");
        assert_eq!(words("IDENTITY ( ) IDENTITY"), "IDENTITY ( ) IDENTITY");
    }
}
