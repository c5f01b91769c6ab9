import { download, get } from './api.js';
import { fill, onSignOut, reportRow, reporting, storedScan } from './show.js';

const { id } = JSON.parse(localStorage.getItem('patient'));

onSignOut('login.html');

reporting(async () => {
  const { data: patient } = await get(`/patient/${id}`);
  const { data: scans } = await get(`/patient/${id}/scans`);
  const { data: reports } = await get(`/patient/${id}/reports`);
  fill('name', [`${patient.name} (${patient.patient_id})`]);
  fill('scans', scans.map(storedScan));
  fill('reports', reports.map((report) => reportRow(report, download)));
});
