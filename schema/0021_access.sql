-- Sessions that can be listed and ended one by one; tokens that only read, see one department, or run out.

ALTER TABLE tongguan.session
	ADD COLUMN session_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	ADD COLUMN peer text,                   -- the address it was opened from
	ADD COLUMN agent text;                  -- what the client called itself

-- A token of another role than department may be bound to one: it sees what that department sees, and changes nothing.
ALTER TABLE tongguan.token DROP CONSTRAINT token_check;
ALTER TABLE tongguan.token
	ADD COLUMN read_only boolean NOT NULL DEFAULT false,
	ADD COLUMN expires_at timestamptz,
	ADD CONSTRAINT token_scope CHECK (CASE WHEN role = 'department' THEN department IS NOT NULL
		ELSE department IS NULL OR read_only END);
