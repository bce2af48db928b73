struct Token(String);

async fn log_in() -> Token {
    Token("1984".to_owned())
}

#[golo::loadtest(setup = log_in, setup_scope = "run")]
async fn journey(token: golo::Shared<Token>) {
    let _ = &token.0;
}
