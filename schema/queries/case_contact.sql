-- $1 case_id, $2 actor, $3 role
SELECT tongguan.case_contact($1::uuid, $2::text, $3::text)::text
