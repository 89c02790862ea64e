//! Pages of rows that are as large as they may be: an ordinary client takes every page, and finds every row once.

use std::collections::BTreeSet;

use guildhall::proto;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::harness::messages::{
    create_group, create_members, list_groups, list_members, list_roles, new_member, register,
};
use crate::harness::{Organization, TestApp};
use crate::on_both;

/// About what a page holds, and a row more.
const PAGE_BYTES_MAX: usize = 1024 * 1024 + 200 * 1024;
/// As many as make more than a page.
const ROWS: usize = 40;

/// Metadata as large as it may be, of numbers, each of which takes several times as much in an answer.
pub fn large() -> proto::Metadata {
    let one = Value { kind: Some(Kind::NumberValue(1.0)) };
    let many = Value { kind: Some(Kind::ListValue(ListValue { values: vec![one; 4_000] })) };
    proto::Metadata { public: Some(Struct { fields: [("n".to_owned(), many)].into_iter().collect() }), private: None }
}

/// An organization that has groups.
pub async fn workspace(app: &TestApp) -> Organization {
    app.found_under("analytics-workspace").await
}

/// Makes groups whose metadata is large.
pub async fn large_groups(organization: &Organization, count: usize) {
    for number in 0..count {
        let group = create_group(&organization.id, &format!("group {number:03}"));
        organization
            .owner
            .call
            .create_group(proto::CreateGroupRequest { metadata: Some(large()), ..group })
            .await
            .unwrap();
    }
}

/// Turns pages until there are no more; gives the names of the rows, in order, and how many pages there were.
async fn turn<M: Message>(
    mut page: impl AsyncFnMut(String) -> M,
    read: impl Fn(&M) -> (Vec<String>, String),
) -> (Vec<String>, usize) {
    let (mut all, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = page(token).await;
        assert!(answer.encoded_len() < PAGE_BYTES_MAX, "a page of {} bytes", answer.encoded_len());
        let (names, next) = read(&answer);
        assert!(!names.is_empty(), "a page that does not lead on");
        all.extend(names);
        pages += 1;
        if next.is_empty() {
            return (all, pages);
        }
        token = next;
    }
}

#[track_caller]
fn assert_complete((names, pages): &(Vec<String>, usize), rows: usize) {
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (rows, rows));
    assert!(*pages > 1, "more than a page holds");
}

on_both! {
    async fn pages_of_groups_end_at_a_mebibyte(app) {
        let organization = workspace(&app).await;
        large_groups(&organization, ROWS).await;
        let listed = turn(
            async |page_token| {
                let request = proto::ListGroupsRequest { page_size: 1_000, page_token, ..list_groups(&organization.id) };
                organization.owner.call.list_groups(request).await.unwrap()
            },
            |page| (page.groups.iter().map(|group| group.id.clone()).collect(), page.next_page_token.clone()),
        )
        .await;
        assert_complete(&listed, ROWS);
    }

    async fn pages_of_members_end_at_a_mebibyte(app) {
        let organization = app.found_under("disaster-recovery").await;
        let members = (0..ROWS).map(|number| proto::NewMember {
            metadata: Some(large()),
            ..new_member(&format!("m{number:03}@example.test"), vec![])
        });
        let members: Vec<proto::NewMember> = members.collect();
        for some in members.chunks(20) {
            organization.owner.call.batch_create_members(create_members(&organization.id, some.to_vec())).await.unwrap();
        }
        for order_by in ["", "display_name", "create_time desc"] {
            let listed = turn(
                async |page_token| {
                    let order_by = order_by.to_owned();
                    let request = proto::ListMembersRequest {
                        page_size: 1_000,
                        page_token,
                        order_by,
                        ..list_members(&organization.id)
                    };
                    organization.owner.call.list_members(request).await.unwrap()
                },
                |page| (page.members.iter().map(|member| member.id.clone()).collect(), page.next_page_token.clone()),
            )
            .await;
            assert_complete(&listed, ROWS + 1);
        }
    }

    async fn pages_of_resources_end_at_a_mebibyte(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        for number in 0..ROWS {
            let project = crate::harness::project(&format!("p{number:03}"));
            owner.register_resource(register(&organization.id, project.clone())).await.unwrap();
            let request = proto::UpdateResourceRequest {
                organization_id: organization.id.clone(),
                resource: Some(project),
                metadata: Some(large()),
                ..Default::default()
            };
            owner.update_resource(request).await.unwrap();
        }
        let listed = turn(
            async |page_token| {
                let organization_id = organization.id.clone();
                let request =
                    proto::BrowseResourcesRequest { organization_id, page_size: 1_000, page_token, ..Default::default() };
                owner.browse_resources(request).await.unwrap()
            },
            |page| {
                let ids = page.resources.iter().map(|it| it.resource.as_ref().unwrap().id.clone());
                (ids.collect(), page.next_page_token.clone())
            },
        )
        .await;
        assert_complete(&listed, ROWS);
    }

    async fn roles_come_in_pages_where_that_is_asked(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let all = owner.list_roles(list_roles(&organization.id)).await.unwrap();
        let listed = turn(
            async |page_token| {
                let request = proto::ListRolesRequest { page_size: 2, page_token, ..list_roles(&organization.id) };
                owner.list_roles(request).await.unwrap()
            },
            |page| (page.roles.iter().map(|role| role.name.clone()).collect(), page.next_page_token.clone()),
        )
        .await;
        assert_eq!((listed.0.len(), all.next_page_token.as_str()), (all.roles.len(), ""));
        assert_eq!(listed.0, all.roles.into_iter().map(|role| role.name).collect::<Vec<_>>());
    }
}
