"""The replaced system's database: its tables as its README lists them, and rows as bad as real ones get."""

import hashlib

ADMIN_PASSWORD = "admin of old"
PATIENT_PASSWORD = "Xk3-of-old"
CLOUD = "https://res.cloudinary.com/demo/image/upload/v1/brain_tumor_scans"


def old_hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


TABLES = """
CREATE TABLE admins (
    id SERIAL PRIMARY KEY,
    username VARCHAR(80) UNIQUE NOT NULL,
    password_hash VARCHAR(64) NOT NULL,
    email VARCHAR(120),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE patients (
    id SERIAL CONSTRAINT uq_patients_email PRIMARY KEY,
    patient_id VARCHAR(50) UNIQUE NOT NULL,
    name VARCHAR(500) NOT NULL,
    email VARCHAR(120),
    age INTEGER,
    gender VARCHAR(60),
    phone VARCHAR(120),
    address TEXT,
    username VARCHAR(80) UNIQUE,
    password_hash VARCHAR(255),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE scans (
    id SERIAL PRIMARY KEY,
    patient_id INTEGER CONSTRAINT fk_scans_patient_id_patients REFERENCES patients(id),
    scan_id VARCHAR(50) UNIQUE NOT NULL,
    original_filename VARCHAR(255),
    original_path TEXT,
    heatmap_path TEXT,
    overlay_path TEXT,
    prediction VARCHAR(50),
    confidence DECIMAL(5,3),
    probability DECIMAL(5,3),
    report_path TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE reports (
    id SERIAL PRIMARY KEY,
    patient_id INTEGER REFERENCES patients(id),
    report_id VARCHAR(50) UNIQUE NOT NULL,
    report_path TEXT,
    scan_count INTEGER,
    tumor_count INTEGER,
    no_tumor_count INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX ix_reports_patient_id ON reports (patient_id);
"""

ROWS = f"""
INSERT INTO admins (id, username, password_hash, email, created_at) VALUES
    (1, 'chief', '{old_hash(ADMIN_PASSWORD)}', NULL, '2024-03-31 02:30:00'),
    (7, 'second', '{old_hash("another")}', 'second@example.org', NULL);
INSERT INTO patients VALUES
    (1, 'PAT-aB12', 'Ada Example', 'ada@example.org', 41, 'Female', '+44 1', '1 Road', 'patient_ada',
     '{old_hash(PATIENT_PASSWORD)}', '2024-01-01 12:00:00', '2024-02-02 13:00:00.123456'),
    (2, 'PAT-2', 'Ada''s child', 'ada@example.org', 0, '', NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'PAT-3', '{"N" * 500}', '{"x" * 108}@example.org', -1, '{"g" * 60}', '{"0" * 120}', 'a
b', 'patient_3', 'damaged', '1969-12-31 23:59:59', '2025-07-01 00:00:00'),
    (4, 'PAT-4', '', NULL, NULL, NULL, NULL, NULL, 'patient_4', '', '2025-01-01', '2025-01-01'),
    (900, 'PAT-900', 'Last', '', 150, 'Other', '', '', 'patient_900', '', '2025-01-02', '2025-01-02');
INSERT INTO scans VALUES
    (1, 1, 'SCAN-aa', 'a b.png', '{CLOUD}/original/a.png', '{CLOUD}/heatmap/a.png', '{CLOUD}/overlay/a.png',
     'Tumor', 0.971, 0.971, 'reports/report_1.pdf', '2024-05-05 05:05:05'),
    (2, 1, 'SCAN-2', 'b.png', 'temp_uploads/b.png', 'C:\\temp\\h.png', NULL,
     'no_tumor', 97.123, 97.123, 'reports/report_1.pdf', '2024-05-05 05:05:06'),
    (3, 2, 'SCAN-3', NULL, '/srv/uploads/c d.jpg', '', NULL, 'No tumor', 0.999, 0.001, NULL, NULL),
    (4, 3, 'SCAN-4', '', NULL, NULL, NULL, 'TUMOUR DETECTED', NULL, 88.000, NULL, '2024-05-07'),
    (5, 3, 'SCAN-5', 'e.png', 'e.png', NULL, NULL, NULL, NULL, NULL, NULL, '2024-05-08'),
    (6, 3, 'SCAN-6', 'f.png', 'f.png', NULL, NULL, 'Inconclusive', 0.500, 0.500, NULL, '2024-05-09'),
    (7, 3, 'SCAN-7', 'g.png', 'g.png', NULL, NULL, ' tumor ', 1.000, NULL, NULL, '2024-05-10'),
    (8, 4, 'SCAN-8', 'h.png', 'h.png', NULL, NULL, 'No Tumor', 0.600, NULL, NULL, '2024-05-11'),
    (9, 4, 'SCAN-9', 'i.png', 'i.png', NULL, NULL, 'tumor', NULL, 'NaN', NULL, '2024-05-12');
INSERT INTO reports VALUES
    (1, 1, 'RPT-aa', 'reports/report_1.pdf', 2, 1, 1, '2024-06-01 00:00:00'),
    (2, 1, 'RPT-2', 'D:\\app\\reports\\report_2.pdf', 1, NULL, NULL, '2024-06-02'),
    (3, 2, 'RPT-3', NULL, NULL, NULL, NULL, NULL);
"""  # noqa: S608 - made-up rows

# Records whose owner is gone: the foreign keys were dropped, or never made.
ORPHANS = f"""
ALTER TABLE scans DROP CONSTRAINT fk_scans_patient_id_patients;
ALTER TABLE reports DROP CONSTRAINT reports_patient_id_fkey;
INSERT INTO scans (id, patient_id, scan_id, original_path, prediction, confidence, probability) VALUES
    (20, 77, 'SCAN-20', '{CLOUD}/original/t.png', 'Tumor', 0.9, 0.9),
    (21, NULL, 'SCAN-21', '{CLOUD}/original/u.png', 'Tumor', 0.9, 0.9);
INSERT INTO reports (id, patient_id, report_id, report_path) VALUES
    (20, 950, 'RPT-20', 'reports/report_20.pdf');
"""  # noqa: S608 - made-up rows

# An older version of the replaced system: no e-mail, no reports, no constraints, other types.
OLDER = """
CREATE TABLE admins (id BIGSERIAL, username TEXT, password_hash CHAR(64));
CREATE TABLE patients (
    id BIGSERIAL, patient_id TEXT, name TEXT, age TEXT, username TEXT, password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE
);
CREATE TABLE scans (
    id BIGSERIAL, patient_id BIGINT, scan_id TEXT, original_path TEXT, prediction TEXT,
    confidence DOUBLE PRECISION, probability TEXT, created_at DATE
);
INSERT INTO admins (username, password_hash) VALUES ('twin', 'a'), ('twin', 'b'), (NULL, 'c');
INSERT INTO patients (patient_id, name, age, username, created_at) VALUES
    ('P1', 'One', '45', 'same', '2024-01-01 12:00:00+02'),
    ('P1', 'Two', 'old', 'same', NULL),
    (NULL, NULL, ' 7 ', NULL, NULL);
INSERT INTO scans (patient_id, scan_id, original_path, prediction, confidence, probability, created_at) VALUES
    (1, 'S1', 'x.png', 'Tumor', 0.9712345, '97.1 %', '2024-01-01'),
    (2, 'S1', 'y.png', 'NoTumor', 0.99999, 'none', NULL);
"""
