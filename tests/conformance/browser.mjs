// What Grafana's packages read from the page while they load: its address, and the boot data in its HTML.
globalThis.window = {
  location: { href: 'http://localhost:3000/d/crm-events-pipeline', search: '' },
  localStorage: { getItem: () => null },
  grafanaBootData: { settings: { featureToggles: JSON.parse(process.env.FEATURE_TOGGLES) }, user: {} },
};
