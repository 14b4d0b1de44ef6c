-- Reference data of the one city an installation serves. Loaded whole by `tongguan city load`, which raises
-- city.version; running roles look at the version and reload.

CREATE TABLE tongguan.city (
	only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	version     bigint NOT NULL,
	name_zh     text NOT NULL,
	name_en     text NOT NULL,
	division    text NOT NULL CHECK (division ~ '^[0-9]{6}$'),
	zone        text NOT NULL,
	cell_m      double precision,
	region_m    double precision NOT NULL CHECK (region_m > 0),
	halo_m      double precision NOT NULL CHECK (halo_m >= 0),
	boundary    geometry(MultiPolygon, 4326) NOT NULL,
	loaded_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tongguan.street (
	code      text PRIMARY KEY,
	name_zh   text NOT NULL,
	name_en   text NOT NULL,
	short_zh  text NOT NULL,
	short_en  text NOT NULL,
	district  text NOT NULL,
	geom      geometry(MultiPolygon, 4326)
);

CREATE TABLE tongguan.grid_cell (
	id       integer PRIMARY KEY,      -- dense from 0; a point on an edge belongs to the lowest
	cell_id  text NOT NULL UNIQUE,
	street   text REFERENCES tongguan.street (code),
	geom     geometry(MultiPolygon, 4326) NOT NULL
);

CREATE TABLE tongguan.work_calendar (
	name           text PRIMARY KEY,
	weekdays       integer[] NOT NULL,          -- ISO, 1 = Monday
	periods        text[] NOT NULL,             -- '08:00-12:00', local wall time, half-open
	hours_per_day  double precision NOT NULL CHECK (hours_per_day > 0)
);

CREATE TABLE tongguan.work_calendar_day (
	calendar  text NOT NULL REFERENCES tongguan.work_calendar (name) ON DELETE CASCADE,
	day       date NOT NULL,
	kind      text NOT NULL CHECK (kind IN ('off', 'work', 'half')),
	periods   text[],                           -- NULL: the calendar's own (half: its first period)
	name      text NOT NULL DEFAULT '',
	PRIMARY KEY (calendar, day)
);

CREATE TABLE tongguan.dept (
	code      text PRIMARY KEY,
	name_zh   text NOT NULL,
	name_en   text NOT NULL,
	short_zh  text NOT NULL,
	short_en  text NOT NULL,
	pinyin    text NOT NULL DEFAULT '',
	kind      text NOT NULL DEFAULT '',
	calendar  text NOT NULL REFERENCES tongguan.work_calendar (name)
);

CREATE TABLE tongguan.case_type (
	type_code       text PRIMARY KEY CHECK (type_code ~ '^[0-9]{5}$'),
	kind            text NOT NULL,
	class_code      text NOT NULL,
	class_zh        text NOT NULL,
	class_en        text NOT NULL,
	name_zh         text NOT NULL,
	name_en         text NOT NULL,
	short_zh        text NOT NULL,
	short_en        text NOT NULL,
	pinyin          text NOT NULL DEFAULT '',
	domain          text NOT NULL CHECK (domain IN ('pingan', 'jianguan', 'shichang', 'minsheng')),
	lead            text REFERENCES tongguan.dept (code),
	co              text[] NOT NULL DEFAULT '{}',
	accept_limit    text NOT NULL,
	dispatch_limit  text NOT NULL,
	dispose_limit   text NOT NULL,
	urgency         text NOT NULL CHECK (urgency IN ('urgent', 'priority', 'normal', 'slow'))
);

CREATE TABLE tongguan.filing_condition (
	type_code     text NOT NULL REFERENCES tongguan.case_type (type_code) ON DELETE CASCADE,
	condition_no  integer NOT NULL CHECK (condition_no > 0),
	handle_limit  text NOT NULL,                -- '2h', '4wh', '5wd', '7nd'
	filing_zh     text NOT NULL DEFAULT '',
	filing_en     text NOT NULL DEFAULT '',
	close_zh      text NOT NULL DEFAULT '',
	close_en      text NOT NULL DEFAULT '',
	PRIMARY KEY (type_code, condition_no)
);

CREATE TABLE tongguan.device (
	device_id       text PRIMARY KEY,
	source_kind     smallint NOT NULL,
	geom            geometry(Point, 4326),      -- WGS 84
	datum           smallint NOT NULL DEFAULT 1,
	name            text NOT NULL DEFAULT '',
	report_every_s  integer,
	street          text
);

CREATE VIEW tongguan.grid_cells AS SELECT cell_id, street, geom FROM tongguan.grid_cell;
CREATE VIEW tongguan.streets AS SELECT * FROM tongguan.street;
CREATE VIEW tongguan.departments AS SELECT * FROM tongguan.dept;
CREATE VIEW tongguan.catalog AS
	SELECT t.*, (SELECT count(*) FROM tongguan.filing_condition c WHERE c.type_code = t.type_code) AS conditions
	FROM tongguan.case_type t;
CREATE VIEW tongguan.calendar AS
	SELECT calendar, day, kind, periods, name FROM tongguan.work_calendar_day;
CREATE VIEW tongguan.devices AS
	SELECT device_id, source_kind, geom, datum, name, report_every_s, street FROM tongguan.device;
