import { get, post } from './api.js';
import { element, fill, onSignOut, onSubmit, reporting } from './show.js';

async function list() {
  const { data } = await get('/admin/patients');
  const rows = data.map((patient) => {
    const link = element('a', { href: `patient.html?id=${patient.id}`, textContent: patient.name });
    return element('li', {}, [link, ` ${patient.patient_id} ${patient.email} ${patient.age || 'N/A'}`]);
  });
  fill('patients', rows);
}

onSignOut('admin.html');

// Every field goes as the form holds it: a text, empty where nothing was typed.
onSubmit('new-patient', async (form) => {
  const { data } = await post('/admin/patients', Object.fromEntries(new FormData(form)));
  const rows = ['username', 'password', 'email_sent'].flatMap((name) => [
    element('dt', { textContent: name }),
    element('dd', { id: name, textContent: data[name].toString() }),
  ]);
  fill('credentials', rows);
  form.reset();
  await list();
});

reporting(list);
