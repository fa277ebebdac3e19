//! `floe organizations`.

use floe_client::{Organization, OrganizationCreate, OrganizationsList};

use crate::connection::Connection;
use crate::output::{print_json, print_table};

/// Make and list the organizations of a running server. It takes the root token.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Organizations {
    /// Make an organization.
    Create {
        /// What machines call it: up to 64 of a-z, 0-9 and -, unique on the server
        slug: String,
        /// What people call it [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List all organizations, oldest first.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Organizations {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create { slug, name, json, connection } => {
                let organization =
                    OrganizationCreate::new(name.unwrap_or_else(|| slug.clone()), slug);
                let made = connection
                    .run(async |client| Ok(client.organizations().create(&organization).await?))?;
                if json { print_json(&made) } else { print(&[made]) }
            }
            Self::List { json, connection } => {
                let all = connection.run(async |client| {
                    let mut all = Vec::new();
                    for page in 1.. {
                        let query = OrganizationsList::new().page(page);
                        let found = client.organizations().list(&query).await?;
                        all.extend(found.items);
                        if page >= found.pagination.max_page {
                            break;
                        }
                    }
                    Ok(all)
                })?;
                if json { print_json(&all) } else { print(&all) }
            }
        }
    }
}

fn print(organizations: &[Organization]) -> anyhow::Result<()> {
    let row = |organization: &Organization| {
        let Organization { id, slug, name, created_at, .. } = organization;
        [id.to_string(), slug.clone(), name.clone(), created_at.to_string()]
    };
    print_table(["ID", "SLUG", "NAME", "CREATED"], organizations.iter().map(row))
}
