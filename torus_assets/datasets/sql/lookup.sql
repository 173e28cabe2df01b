-- The lookup of sections, in one row: what their students saw, from the publications that the sections use.
-- Parameter: sections, an array of section ids. Tables and columns: docs/lookup.md.
WITH asked AS (
    SELECT id, base_project_id FROM sections WHERE id = ANY(%(sections)s)
),
used AS (  -- the newest has the last word; a section that stays behind still shows what only its own publication has
    SELECT publications.id, row_number() OVER (ORDER BY publications.published DESC NULLS LAST, publications.id DESC) AS age
    FROM publications
    WHERE publications.id IN (SELECT publication_id FROM sections_projects_publications WHERE section_id IN (SELECT id FROM asked))
),
shown AS (  -- one revision of each resource
    SELECT DISTINCT ON (published_resources.resource_id)
        published_resources.resource_id, revisions.id AS revision_id, revisions.resource_type_id
    FROM used
    JOIN published_resources ON published_resources.publication_id = used.id
    JOIN revisions ON revisions.id = published_resources.revision_id
    WHERE revisions.resource_type_id IN (1, 2, 3, 4) AND revisions.deleted IS NOT TRUE
    ORDER BY published_resources.resource_id, used.age
),
skill_titles AS (
    SELECT json_object_agg(shown.resource_id, revisions.title ORDER BY shown.resource_id) AS document
    FROM shown JOIN revisions ON revisions.id = shown.revision_id
    WHERE shown.resource_type_id = 4
),
hierarchy AS (
    SELECT json_object_agg(
        shown.resource_id,
        json_build_object('title', revisions.title, 'graded', revisions.graded, 'children', revisions.children)
        ORDER BY shown.resource_id
    ) AS document
    FROM shown JOIN revisions ON revisions.id = shown.revision_id
    WHERE shown.resource_type_id IN (1, 2)
),
contents AS (  -- arrays of activities; null where the content has something else
    SELECT
        shown.resource_id,
        activity_registrations.slug,
        CASE jsonb_typeof(revisions.content -> 'choices') WHEN 'array' THEN revisions.content -> 'choices' END AS choices,
        CASE jsonb_typeof(revisions.content -> 'items') WHEN 'array' THEN revisions.content -> 'items' END AS items,
        CASE jsonb_typeof(revisions.content #> '{authoring,parts}') WHEN 'array' THEN revisions.content #> '{authoring,parts}' END AS parts
    FROM shown
    JOIN revisions ON revisions.id = shown.revision_id
    LEFT JOIN activity_registrations ON activity_registrations.id = revisions.activity_type_id
    WHERE shown.resource_type_id = 3
),
activities AS (
    SELECT json_object_agg(
        resource_id,
        json_build_object(
            'type', slug,
            'choices', (
                SELECT json_agg(json_build_object('id', one -> 'id', 'content', one -> 'content') ORDER BY place)
                FROM jsonb_array_elements(choices) WITH ORDINALITY AS array_of (one, place)
            ),
            'items', (
                SELECT json_agg(json_build_object('id', one -> 'id', 'content', one -> 'content') ORDER BY place)
                FROM jsonb_array_elements(items) WITH ORDINALITY AS array_of (one, place)
            ),
            'parts', (
                SELECT json_agg(json_build_object('id', part -> 'id', 'hints', (
                    SELECT json_agg(json_build_object('id', one -> 'id', 'content', one -> 'content') ORDER BY place)
                    FROM jsonb_array_elements(
                        CASE jsonb_typeof(part -> 'hints') WHEN 'array' THEN part -> 'hints' END
                    ) WITH ORDINALITY AS array_of (one, place)
                )) ORDER BY part_place)
                FROM jsonb_array_elements(parts) WITH ORDINALITY AS array_of_parts (part, part_place)
            )
        )
        ORDER BY resource_id
    ) AS document
    FROM contents
),
enrolled AS (  -- whatever the status: who left has events too
    SELECT json_object_agg(users.id, json_build_object('email', users.email) ORDER BY users.id) AS document
    FROM users
    WHERE users.id IN (SELECT user_id FROM enrollments WHERE section_id IN (SELECT id FROM asked))
)
SELECT
    (SELECT array_agg(id ORDER BY id) FROM asked) AS sections,
    (SELECT projects.slug FROM asked JOIN projects ON projects.id = asked.base_project_id ORDER BY asked.id LIMIT 1) AS project,
    (SELECT document FROM skill_titles) AS skill_titles,
    (SELECT document FROM hierarchy) AS hierarchy,
    (SELECT document FROM activities) AS activities,
    (SELECT document FROM enrolled) AS users
