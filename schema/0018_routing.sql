-- Who is asked first: a department's streets, a condition's own department; how long a thing of a type lies about.

ALTER TABLE tongguan.dept ADD COLUMN streets text[] NOT NULL DEFAULT '{}';
ALTER TABLE tongguan.filing_condition ADD COLUMN lead text;
ALTER TABLE tongguan.case_type ADD COLUMN lasting text NOT NULL DEFAULT 'mixed' CHECK (lasting IN ('long', 'short', 'mixed'));
CREATE OR REPLACE VIEW tongguan.departments AS SELECT * FROM tongguan.dept;
