import { post } from './api.js';
import { onSubmit } from './show.js';

onSubmit('login', async (form) => {
  const { data } = await post('/admin/login', Object.fromEntries(new FormData(form)));
  localStorage.setItem('admin', JSON.stringify(data));
  location.href = 'dashboard.html';
});
