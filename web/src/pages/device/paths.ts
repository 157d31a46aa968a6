// Addresses of one device in the API.

export const devicePath = (id: string): string => `/api/v1/devices/${encodeURIComponent(id)}`;
export const statusPath = (id: string): string => `/api/v2/devices/${encodeURIComponent(id)}/status`;
export const framesPath = (id: string): string => `/api/v2/devices/${encodeURIComponent(id)}/frames`;
export const discoveredPath = (id: string): string => `/api/v2/devices/${encodeURIComponent(id)}/discovered`;
export const interrogatePath = (id: string): string => `/api/v2/devices/${encodeURIComponent(id)}/interrogate`;
