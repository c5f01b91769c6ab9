// Talks to the API as the existing frontend does: the cookie, and no header but the JSON content type.

const API = window.API_BASE_URL;

async function ask(path, options = {}) {
  const response = await fetch(API + path, { credentials: 'include', ...options });
  const body = await response.json();
  if (!body.success) throw new Error(body.error);
  return body;
}

export const get = (path) => ask(path);

export const post = (path, content) =>
  ask(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(content),
  });

export const send = (path, form) => ask(path, { method: 'POST', body: form });

// The file's name is all that is known of a report: the last part of its path.
export async function download(reportPath) {
  const name = reportPath.split('/').pop();
  const { download_url: url } = await get(`/report/download-by-filename/${encodeURIComponent(name)}`);
  window.open(url.startsWith('/') ? new URL(API).origin + url : url, '_blank');
}
