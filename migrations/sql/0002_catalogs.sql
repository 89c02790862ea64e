-- Catalogs of operators, and roles that organizations make.

create table catalogs (
    catalog_key {key} primary key,
    name {key} not null,
    version bigint not null,
    yaml text not null,
    created_at bigint not null,
    unique (name, version)
);

create table roles (
    organization_id {uuid} not null references organizations (id),
    name {key} not null,
    definition text not null,
    created_at bigint not null,
    primary key (organization_id, name)
);
create index organizations_by_catalog on organizations (catalog);
create index grants_of_role on grants (scope, role);
