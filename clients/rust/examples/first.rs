use std::env;

use roster_client::Roster;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let roster = Roster::new(&env::var("URL")?).with_token(env::var("TOKEN")?);
    for user in roster.users(3, None).await?.nodes {
        println!("{} {}", user.full_name, user.position.unwrap_or_default());
    }
    Ok(())
}
