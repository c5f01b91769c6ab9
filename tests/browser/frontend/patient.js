import { download, get, post, send } from './api.js';
import { element, fill, onSignOut, onSubmit, reportRow, reporting, scanCard, storedScan } from './show.js';

const id = new URLSearchParams(location.search).get('id');

async function list() {
  const { data: patient } = await get(`/admin/patients/${id}`);
  const { data: scans } = await get(`/admin/patients/${id}/scans`);
  const { data: reports } = await get(`/admin/patients/${id}/reports`);
  fill('name', [`${patient.name} (${patient.patient_id})`]);
  fill('scans', scans.map(storedScan));
  fill('reports', reports.map((report) => reportRow(report, download)));
}

// Knows the synchronous answer only: results stand in the order of the files and are complete.
function uploaded(file, result) {
  if (!result.success) {
    return element('article', { className: 'card red', textContent: `${file.name}: ${result.error}` });
  }
  const name = `${result.filename} ${result.scan_id}`;
  return scanCard(name, result, [result.original_image, result.heatmap, result.overlay]);
}

onSignOut('admin.html');

onSubmit('upload', async (form) => {
  const files = [...form.elements.files.files];
  const content = new FormData();
  content.append('patient_id', id);
  files.forEach((file) => content.append('files', file));
  const { results } = await send('/admin/scans/upload', content);
  fill('results', files.map((file, i) => uploaded(file, results[i])));
  await list();
});

document.getElementById('generate').onclick = () =>
  reporting(async () => {
    const { data } = await post('/report/generate', { patient_id: id });
    await download(data.report_path);
    await list();
  });

reporting(list);
