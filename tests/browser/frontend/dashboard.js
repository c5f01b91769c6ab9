import { get } from './api.js';
import { element, fill, onSignOut, reporting } from './show.js';

onSignOut('admin.html');

reporting(async () => {
  const { data } = await get('/admin/dashboard/stats');
  const { tumor_count: tumor, no_tumor_count: noTumor, total_scans: scans } = data.scan_stats;
  const facts = {
    patients: data.total_patients,
    scans: data.total_scans,
    reports: data.total_reports,
    tumor,
    'no-tumor': noTumor,
    'tumor-rate': scans ? `${((100 * tumor) / scans).toFixed(1)}%` : 'N/A',
  };
  const rows = Object.entries(facts).flatMap(([name, value]) => [
    element('dt', { textContent: name }),
    element('dd', { id: name, textContent: value.toString() }),
  ]);
  fill('stats', rows);
});
