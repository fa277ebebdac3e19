//! `floe organizations`.

use floe_client::{Organization, OrganizationCreate, OrganizationUpdate, OrganizationsList};

use crate::connection::{RootConnection, every, organization_id};
use crate::output::{Column, Output};

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
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// Show an organization.
    Get {
        /// Its slug or id
        organization: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// List all organizations, oldest first.
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
    /// Change what people call an organization.
    Update {
        /// Its slug or id
        organization: String,
        /// What people are to call it
        #[arg(long)]
        name: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: RootConnection,
    },
}

impl Organizations {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create { slug, name, output, connection } => {
                let organization =
                    OrganizationCreate::new(name.unwrap_or_else(|| slug.clone()), slug);
                let made = connection
                    .run(async |client| Ok(client.organizations().create(&organization).await?))?;
                show(output, &made)
            }
            Self::Get { organization, output, connection } => {
                let found = connection.run(async |client| {
                    let id = organization_id(client, &organization).await?;
                    Ok(client.organizations().get(id).await?)
                })?;
                show(output, &found)
            }
            Self::List { output, connection } => {
                let all = connection.run(async |client| {
                    let list = OrganizationsList::new();
                    every(async |page| client.organizations().list(&list.clone().page(page)).await)
                        .await
                })?;
                output.print(&all, &all, &columns())
            }
            Self::Update { organization, name, output, connection } => {
                let update = OrganizationUpdate::new().name(name);
                let updated = connection.run(async |client| {
                    let id = organization_id(client, &organization).await?;
                    Ok(client.organizations().update(id, &update).await?)
                })?;
                show(output, &updated)
            }
        }
    }
}

fn columns() -> [Column<'static, Organization>; 4] {
    [
        Column::new("ID", |organization: &Organization| organization.id.to_string()),
        Column::new("SLUG", |organization: &Organization| organization.slug.clone()),
        Column::new("NAME", |organization: &Organization| organization.name.clone()),
        Column::new("CREATED", |organization: &Organization| organization.created_at.to_string()),
    ]
}

fn show(output: Output, organization: &Organization) -> anyhow::Result<()> {
    output.print(organization, std::slice::from_ref(organization), &columns())
}
