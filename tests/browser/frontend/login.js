import { post } from './api.js';
import { onSubmit } from './show.js';

onSubmit('login', async (form) => {
  const { data } = await post('/patient/login', Object.fromEntries(new FormData(form)));
  localStorage.setItem('patient', JSON.stringify(data));
  location.href = 'portal.html';
});
