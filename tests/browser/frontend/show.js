// Turns what the API says into elements, with the existing frontend's habits.

export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Nothing but a number has `toFixed`; 0 counts as missing.
export const number = (value) => (value ? value.toFixed(4) : 'N/A');

function prediction(word) {
  return element('strong', {
    className: `prediction ${word === 'Tumor' ? 'red' : 'green'}`,
    textContent: word,
  });
}

function picture(kind, address) {
  const image = element('img', { alt: kind });
  if (address) image.src = address;
  return image;
}

// `pictures`: original, heatmap, overlay, which uploads and scan objects call by different names.
export function scanCard(name, scan, pictures) {
  return element('article', { className: 'card' }, [
    element('h3', { textContent: name }),
    prediction(scan.prediction),
    element('p', { className: 'confidence', textContent: number(scan.confidence) }),
    element('p', { className: 'probability', textContent: number(scan.probability) }),
    ...['original', 'heatmap', 'overlay'].map((kind, i) => picture(kind, pictures[i])),
  ]);
}

export const storedScan = (scan) =>
  scanCard(scan.original_filename, scan, [scan.original_path, scan.heatmap_path, scan.overlay_path]);

export function reportRow(report, download) {
  const button = element('button', { type: 'button', textContent: 'Download' });
  button.onclick = () => reporting(() => download(report.report_path));
  const counts = `${report.scan_count} scans, ${report.tumor_count} with tumor, ${report.no_tumor_count} without`;
  return element('li', {}, [`${report.report_id}: ${counts} `, button]);
}

export const fill = (id, children) => document.getElementById(id).replaceChildren(...children);

// Runs something and shows the API's sentence if it is refused.
export async function reporting(action) {
  const place = document.getElementById('error');
  place.textContent = '';
  try {
    return await action();
  } catch (error) {
    place.textContent = error.message;
    return null;
  }
}

export function onSubmit(id, action) {
  const form = document.getElementById(id);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    reporting(() => action(form));
  });
}

// The existing frontend knows no way to end a login: it forgets who it was.
export function onSignOut(to) {
  document.getElementById('sign-out').onclick = () => {
    localStorage.clear();
    location.href = to;
  };
}
